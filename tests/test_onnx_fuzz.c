/* Damaged models: those of tests/onnx after random edits. Half of the edits are of fields (one is removed, repeated, or
 * gets another number, text or length, at any depth, with all lengths around it right), half are of bytes. A model that
 * is refused has a reason of one line; one that is accepted is recorded, and run if that takes little memory. */
#include "../io/proto.h"
#include "../onnx/internal.h"
#include "check.h"
#include "random.h"
#include "test_onnx.h"
#include "wengert.h"

static const char *const names[] = {"mlp",     "conv",     "recurrent", "transformer", "control",
                                    "widened", "external", "branches",  "functions"};
enum { N_NAMES = sizeof names / sizeof names[0], ROOM = 1 << 13, DEEPEST = 12 };

static unsigned char original[N_NAMES][ROOM];
static size_t sizes[N_NAMES];

static void load(void)
{
    for (int i = 0; i < N_NAMES; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s.onnx", MODELS, names[i]);
        sizes[i] = read_all(path, original[i], ROOM);
        assert_true(sizes[i] > 100 && sizes[i] < ROOM);
    }
}

/* ---- edits of fields ---- */

static const uint64_t integers[] = {
    0,  1,  2,  3,  5,  7,    8,        11,         13,        14,           16,
    17, 20, 22, 26, 64, 1000, 1u << 30, UINT32_MAX, INT64_MAX, (uint64_t)-1, (uint64_t)-2};
static const char *const texts[] = {"",
                                    "x",
                                    "y",
                                    "ids",
                                    "table",
                                    "Add",
                                    "MatMul",
                                    "Reshape",
                                    "Loop",
                                    "If",
                                    "Scan",
                                    "Gather",
                                    "Slice",
                                    "LSTM",
                                    "Conv",
                                    "axis",
                                    "pads",
                                    "../passwd",
                                    "Range",
                                    "Expand",
                                    "Tile",
                                    "Concat",
                                    "Resize",
                                    "Attention",
                                    "TopK",
                                    "SAME_UPPER",
                                    "bidirectional",
                                    "Einsum",
                                    "Pad",
                                    "GridSample",
                                    "AffineGrid",
                                    "MaxUnpool",
                                    "MaxPool",
                                    "ScatterElements",
                                    "ScatterND",
                                    "com.microsoft",
                                    "local",
                                    "Leaky",
                                    "Total",
                                    "EmbedLayerNormalization",
                                    "SkipLayerNormalization",
                                    "MultiHeadAttention",
                                    "GroupQueryAttention",
                                    "FusedConv",
                                    "FusedGemm",
                                    "RotaryEmbedding"};
#define PICK(list) (list)[below(sizeof(list) / sizeof *(list))]

static bool is_message(wg__span bytes)
{
    wg__wire wire = wg__wire_of(bytes);
    wg__field f;
    while (wg__wire_next(&wire, &f)) {}
    return bytes.size > 1 && !wire.failed;
}

static void put_fixed(wg__bytes *out, const wg__field *f)
{
    double d;
    float s;
    memcpy(&d, &f->integer, sizeof d);
    memcpy(&s, &f->integer, sizeof s);
    if (f->type == WG__EIGHT_BYTES)
        wg__proto_double(out, (int)f->number, d);
    else
        wg__proto_float(out, (int)f->number, s);
}

/* Copies a message; one field in `odds` is edited. */
static void rewrite(wg__span message, int64_t odds, int depth, wg__bytes *out)
{
    wg__wire wire = wg__wire_of(message);
    for (wg__field f; wg__wire_next(&wire, &f);) {
        const bool edit = below(odds) == 0;
        const int64_t kind = below(6);
        if (edit && kind == 0) continue;
        for (int64_t times = edit && kind == 1 ? 2 + below(3) : 1; times > 0; times--) {
            if (f.type == WG__VARINT)
                wg__proto_integer(out, (int)f.number, edit && kind > 1 ? PICK(integers) : f.integer);
            else if (f.type != WG__LENGTH_AND_BYTES)
                put_fixed(out, &f);
            else if (edit && kind == 2) {
                const char *text = PICK(texts);
                wg__proto_bytes(out, (int)f.number, text, strlen(text));
            } else if (edit && kind == 3)
                wg__proto_bytes(out, (int)f.number, f.bytes.data, (size_t)below((int64_t)f.bytes.size + 1));
            else if (depth < DEEPEST && is_message(f.bytes)) {
                wg__bytes inner = {0};
                rewrite(f.bytes, odds, depth + 1, &inner);
                wg__proto_bytes(out, edit && kind == 4 ? (int)(1 + below(16)) : (int)f.number, inner.data,
                                inner.size);
                wg__bytes_fini(&inner);
            } else
                wg__proto_bytes(out, (int)f.number, f.bytes.data, f.bytes.size);
        }
    }
}

/* ---- edits of bytes ---- */

static void damage(unsigned char *bytes, size_t *size)
{
    for (int64_t edits = 1 + below(4); edits > 0 && *size > 8; edits--) {
        const size_t at = (size_t)below((int64_t)*size), n = (size_t)below(8);
        switch (below(4)) {
        case 0: bytes[at] ^= (unsigned char)(1u << below(8)); break;
        case 1: bytes[at] = (unsigned char)random_bits(); break;
        case 2:
            if (at + n > *size) break;
            memmove(bytes + at, bytes + at + n, *size - at - n);
            *size -= n;
            break;
        default: *size = below(16) ? *size : at; break;
        }
    }
}

/* ---- a model ---- */

enum { MOST = 8, MOST_ELEMENTS = 1 << 16, MOST_BYTES = 16 << 20, MOST_NODES = 10000 };

/* A tensor that fits what the model declares: small integers, floats below 1. */
static wg_tensor input_for(wg_tape *tape, const wg_onnx_value *v)
{
    wg_shape shape = {.rank = v->rank < 0 ? 2 : v->rank};
    int64_t n;
    for (int i = 0; i < shape.rank; i++) shape.size[i] = v->rank < 0 || v->size[i] < 0 ? 2 : v->size[i];
    if (!wg_shape_numel(&shape, &n) || n > MOST_ELEMENTS) return WG_NONE;
    static double numbers[MOST_ELEMENTS];
    for (int64_t i = 0; i < n; i++) {
        if (v->dtype == WG_F32) ((float *)numbers)[i] = (float)(0.9 * cos((double)i));
        if (v->dtype == WG_I32) ((int32_t *)numbers)[i] = (int32_t)(i % 3);
        if (v->dtype == WG_BOOL) ((uint8_t *)numbers)[i] = i % 2;
    }
    return wg_data(tape, v->dtype, shape, numbers);
}

static bool record_and_run(wg_onnx *model)
{
    const size_t n_in = wg_onnx_input_count(model), n_out = wg_onnx_output_count(model);
    if (n_in > MOST || n_out > MOST) return false;
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_tensor x[MOST], y[MOST];
    for (size_t k = 0; k < n_in; k++) {
        const wg_onnx_value v = wg_onnx_input(model, k);
        x[k] = input_for(tape, &v);
    }
    wg_status status = wg_onnx_apply(model, tape, x, (int)n_in, y, (int)n_out);
    const bool small = wg_tape_count(tape).nodes < MOST_NODES; /* no loop of many turns: the verifier takes long */
    if (status == WG_OK && n_out > 0 && small && wg_plan_bytes(y, (int)n_out) < MOST_BYTES)
        status = wg_eval(y, (int)n_out);
    CHECK(status == WG_OK || (*wg_tape_message(tape) && !strchr(wg_tape_message(tape), '\n')));
    wg_tape_free(tape);
    return status == WG_OK;
}

static uint64_t n_refused, n_late, n_run;

static void one_model(uint64_t seed)
{
    random_state = seed;
    const int64_t which = below(N_NAMES);
    wg__bytes out = {0};
    wg_error error = {0};
    if (below(2))
        rewrite((wg__span){original[which], sizes[which]}, 4 + below(150), 0, &out);
    else {
        wg__bytes_put(&out, original[which], sizes[which]);
        damage((unsigned char *)out.data, &out.size);
    }
    wg_onnx *model = wg_onnx_open(as_model(out.data, out.size), &error);
    if (!model) {
        n_refused++;
        CHECK(error.status != WG_OK && *error.text && !strchr(error.text, '\n'));
    } else if (record_and_run(model))
        n_run++;
    else
        n_late++;
    wg_onnx_free(model);
    wg__bytes_fini(&out);
}

static void damaged(void)
{
    load();
    check_rounds(3000, one_model);
    printf("%llu refused, %llu refused while recording or running, %llu run\n", (unsigned long long)n_refused,
           (unsigned long long)n_late, (unsigned long long)n_run);
}

int main(int argc, char **argv)
{
    const test tests[] = {TEST_CASE(damaged)};
    return RUN_TESTS(tests);
}
