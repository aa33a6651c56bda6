/* What tests of values share. */
#include "values.h"

#include "guarded.h"

#include "../autograd/base/random.h"

wg_tape *tape;

static uint64_t draw_seed, drawn;

/* ---- random shapes and numbers ---- */

uint32_t draw(uint32_t limit)
{
    uint32_t bits[4];
    wg__random4(draw_seed, 0, 7, drawn++, bits);
    return limit ? bits[0] % limit : 0;
}

static double number(void) { return (double)draw(4000) / 1000 - 2; }

wg_shape random_shape(int least_rank, int most_rank, int least_size)
{
    static const int64_t sizes[] = {0, 1, 1, 2, 3, 4, 5, 7};
    wg_shape shape = {.rank = least_rank + (int)draw((uint32_t)(most_rank - least_rank + 1))};
    int64_t n = 1;
    for (int i = 0; i < shape.rank; i++) {
        int64_t size = sizes[(least_size ? 1 : 0) + draw(least_size ? 7 : 8)];
        shape.size[i] = n * size <= 1024 ? size : 1;
        n *= shape.size[i] ? shape.size[i] : 1;
    }
    return shape;
}

void shape_set(array *a, wg_shape shape)
{
    a->shape = shape;
    wg_shape_numel(&shape, &a->n);
    if (a->n > MOST) abort();
}

void fill_random(array *a, wg_shape shape)
{
    shape_set(a, shape);
    for (int64_t i = 0; i < a->n; i++) a->x[i] = number();
}

void fill_whole(array *a, wg_shape shape, int limit)
{
    shape_set(a, shape);
    for (int64_t i = 0; i < a->n; i++) a->x[i] = draw((uint32_t)limit);
}

void place(const wg_shape *shape, int64_t i, int64_t *at)
{
    for (int d = shape->rank - 1; d >= 0; d--) {
        at[d] = i % shape->size[d];
        i /= shape->size[d];
    }
}

int64_t offset(const wg_shape *shape, const int64_t *at)
{
    int64_t i = 0;
    for (int d = 0; d < shape->rank; d++) i = i * shape->size[d] + at[d];
    return i;
}

/* Memory that ends with a page without access, and begins anywhere: no op reads past its operands, or needs more than
 * the elements' alignment. Valid until LEAVES others have been made. */
static void *leaf_memory(size_t bytes)
{
    enum { LEAVES = 256 };
    static guarded memory[LEAVES];
    static int next;
    guarded *g = &memory[next++ % LEAVES];
    if (!g->map) *g = guarded_new(MOST * sizeof(double));
    return g->end - bytes;
}

wg_tensor leaf(const array *a, wg_dtype dtype)
{
    void *data = leaf_memory((size_t)a->n * wg_dtype_size(dtype));
    for (int64_t i = 0; i < a->n; i++) {
        if (dtype == WG_F32) ((float *)data)[i] = (float)a->x[i];
        if (dtype == WG_F64) ((double *)data)[i] = a->x[i];
        if (dtype == WG_I32) ((int32_t *)data)[i] = (int32_t)a->x[i];
        if (dtype == WG_BOOL) ((uint8_t *)data)[i] = a->x[i] != 0;
    }
    return wg_borrow(tape, dtype, a->shape, data);
}

wg_tensor strided(const array *a)
{
    wg_tensor x = leaf(a, WG_F64);
    int last = a->shape.rank - 1;
    if (last < 0) return x;
    switch (draw(4)) {
    case 0: return wg_flip(wg_add_scalar(wg_flip(x, last), 0), last);
    case 1: return wg_transpose(wg_add_scalar(wg_transpose(x, 0, last), 0), 0, last);
    case 2: {
        wg_tensor both[2] = {x, wg_scale(x, 9)}, pairs = wg_stack(both, 2, last + 1);
        return wg_slice_step(wg_flatten(pairs, last, last + 1), last, 0, 2 * a->shape.size[last], 2);
    }
    default: return x;
    }
}

double value_at(wg_tensor tensor, int64_t i)
{
    const void *value = wg_value(tensor);
    switch (wg_dtype_get(tensor)) {
    case WG_F32: return (double)((const float *)value)[i];
    case WG_F64: return ((const double *)value)[i];
    case WG_I32: return ((const int32_t *)value)[i];
    default: return ((const uint8_t *)value)[i];
    }
}

static bool close_to(double a, double b)
{
    if (a == b || (isnan(a) && isnan(b))) return true;
    return fabs(a - b) <= 1e-12 * (1 + fabs(b));
}

/* ---- which ops were checked ---- */

enum { OPS = 256, NAME = 32 };

static char checked[OPS][NAME];
static int n_checked;

bool is_checked(const char *op)
{
    for (int i = 0; i < n_checked; i++)
        if (!strcmp(checked[i], op)) return true;
    return false;
}

void has_oracle(const char *op)
{
    if (is_checked(op) || n_checked == OPS) return;
    snprintf(checked[n_checked++], NAME, "%s", op);
}

const wg_op *op_named(const char *name)
{
    const wg_op *op;
    for (int i = 0; (op = wg_op_at(i)); i++)
        if (!strcmp(op->name, name)) return op;
    return NULL;
}

/* Reads the tape's dump, whose lines begin with "%7 = sum": the op of a node, or the last node of an op. */
static bool find_node(uint32_t *node, char *op, bool by_name)
{
    char *text = NULL, name[NAME];
    size_t size = 0;
    unsigned number;
    bool found = false;
    FILE *out = open_memstream(&text, &size);
    bool dumped = out && wg_dump_text(tape, out) == WG_OK;
    if (out) fclose(out);
    for (const char *line = text; dumped && line && *line; line = strchr(line, '\n')) {
        if (*line == '\n') line++;
        if (sscanf(line, "%%%u = %31s", &number, name) != 2) continue;
        if (by_name ? strcmp(name, op) != 0 : number != *node) continue;
        found = true;
        *node = number;
        memcpy(op, name, strlen(name) + 1);
    }
    free(text);
    return found;
}

static const char *op_of(wg_tensor made)
{
    static char name[NAME];
    if (!find_node(&made.node, name, false)) return "";
    return name;
}

wg_tensor node_of(const char *op, wg_tensor on)
{
    char name[NAME];
    snprintf(name, sizeof name, "%s", op);
    on.node = 0;
    if (!find_node(&on.node, name, true)) FAIL("no node of %s", op);
    return on;
}

void expect_values(const char *what, wg_tensor got, const array *want)
{
    wg_shape shape = wg_shape_get(got);
    char a[128], b[128];
    if (!wg_value(got) || !wg_shape_equal(&shape, &want->shape)) {
        FAIL("%s: shape %s, should be %s (%s)", what, wg_shape_text(&shape, a, sizeof a),
             wg_shape_text(&want->shape, b, sizeof b), wg_tape_message(tape));
        return;
    }
    for (int64_t i = 0; i < want->n; i++) {
        if (close_to(value_at(got, i), want->x[i])) continue;
        FAIL("%s: shape %s, [%lld] is %.17g, should be %.17g", what, wg_shape_text(&shape, a, sizeof a),
             (long long)i, value_at(got, i), want->x[i]);
        return;
    }
    if (want->n > 0) has_oracle(op_of(got));
}

/* ---- tests ---- */

static void draw_from(uint64_t seed)
{
    draw_seed = seed;
    drawn = 0;
}

void begin_tape(void)
{
    draw_from(check_seed());
    tape = wg_tape_new(wg_tape_defaults());
}

void end_tape(void) { wg_tape_free(tape); }

void one_round(uint64_t seed, void (*body)(void))
{
    draw_from(seed);
    body();
    if (wg_tape_reset(tape) != WG_OK) FAIL("%s", wg_tape_message(tape));
}
