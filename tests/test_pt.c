/* Files of PyTorch: what they hold is known from how tests/tensors/make.py made them; all that a pickle may do, and a
 * refusal of all else; every allocation and system call failing. */
#include "tensors_file.h"
#include "zip_file.h"

static const double transposed[] = {E(0), E(4), E(8), E(1), E(5), E(9), E(2), E(6), E(10), E(3), E(7), E(11)};

/* ---- PyTorch ---- */

static void test_pt(void)
{
    wg_safetensors *f = open_tensors("strided.pt");
    assert_int_equal(wg_safetensors_count(f), 9);
    expect(f, "all", "F32", WG_DIMS(3, 4), eighths(0));
    expect(f, "again", "F32", WG_DIMS(3, 4), eighths(0));
    expect(f, "row", "F32", WG_DIMS(4), eighths(4));
    expect(f, "transposed", "F32", WG_DIMS(4, 3), transposed);
    expect(f, "column", "F32", WG_DIMS(3), NUMBERS(E(1), E(5), E(9)));
    expect(f, "every_other", "F32", WG_DIMS(2, 2), NUMBERS(E(1), E(3), E(9), E(11)));
    expect(f, "expanded", "F32", WG_DIMS(3, 2), NUMBERS(0, E(1), 0, E(1), 0, E(1)));
    expect(f, "scalar", "F32", WG_SCALAR, NUMBERS(0.5));
    expect(f, "empty", "F32", WG_DIMS(0, 3), NULL);
    assert_int_equal(wg_safetensors_metadata_count(f), 0);
    wg_safetensors_close(f);

    f = open_tensors("types.pt");
    expect(f, "f64", "F64", WG_DIMS(3), eighths(0));
    expect(f, "f16", "F16", WG_DIMS(3), eighths(0));
    expect(f, "bf16", "BF16", WG_DIMS(3), eighths(0));
    static const char *const whole[][2] = {{"i64", "I64"}, {"i32", "I32"}, {"i16", "I16"}, {"i8", "I8"}};
    for (int i = 0; i < 4; i++) expect(f, whole[i][0], whole[i][1], WG_DIMS(3), NUMBERS(1, -2, 3));
    expect(f, "u8", "U8", WG_DIMS(3), NUMBERS(1, 2, 3));
    expect(f, "bool", "BOOL", WG_DIMS(3), NUMBERS(1, 0, 1));
    wg_safetensors_close(f);

    f = open_tensors("tensor.pt");
    expect(f, "tensor", "F32", WG_DIMS(3, 4), eighths(0));
    wg_safetensors_close(f);
}

/* What torch.save wrote before PyTorch 1.6: cut anywhere it is refused, and so is a change of what frames it. */
static void test_pt_old(void)
{
    static const double column[] = {0, E(4), E(8), E(1), E(5), E(9), E(2), E(6), E(10), E(3), E(7), E(11)};
    wg_safetensors *f = open_tensors("old.pt");
    assert_int_equal(wg_safetensors_count(f), 4);
    expect(f, "t", "F32", WG_DIMS(4, 3), column);
    expect(f, "list.0", "F32", WG_DIMS(3, 4), eighths(0));
    expect(f, "list.1", "F64", WG_DIMS(4), eighths(4));
    expect(f, "empty", "F32", WG_DIMS(0, 3), NULL);
    wg_safetensors_close(f);

    static const struct {
        const char *mark;
        int offset, value;
        const char *reason;
    } rows[] = {{"\x80\2\x8a", 2, 0, "a pickle: load it"},
                {"\x80\2\x8a", 14, 0, "not one of torch.save"},
                {"little_endian", 15, 0x89, "little-endian"},
                {"FloatStorage", 0, 'X', "XloatStorage"}};
    char path[512];
    unsigned char bytes[2048] = {0};
    snprintf(path, sizeof path, "%s/old.pt", TENSORS);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert_true(n < sizeof bytes);
    for (size_t cut = 0; cut <= n + 1; cut++) {
        wg_safetensors *part = wg_safetensors_parse(bytes, cut, "x", NULL);
        assert_int_equal(part != NULL, cut == n);
        wg_safetensors_close(part);
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_error error = {0};
        unsigned char *at = memmem(bytes, n, rows[i].mark, strlen(rows[i].mark));
        assert_non_null(at);
        const unsigned char before = at[rows[i].offset];
        at[rows[i].offset] = (unsigned char)rows[i].value;
        assert_null(wg_safetensors_parse(bytes, n, "x", &error));
        ASSERT_HAS(error.text, rows[i].reason);
        at[rows[i].offset] = before;
    }
    static const char *const no_lists[] = {"\x80\2K\1q\0.", "\x80\2}q\0.", "\x80\2]q\0K\1q\1a."}; /* of keys */
    static const size_t sizes[] = {7, 6, 11};
    unsigned char *keys = memmem(bytes, n, "\x80\2]q\0(", 6);
    assert_non_null(keys);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        wg_error error = {0};
        memcpy(keys, no_lists[i], sizes[i]);
        assert_null(wg_safetensors_parse(bytes, n, "x", &error));
        ASSERT_HAS(error.text, "no list of keys");
    }
}

/* Tensors at any depth are named by their path; the rest is ignored. */
static void test_pt_checkpoint(void)
{
    wg_safetensors *f = open_tensors("checkpoint.pt");
    assert_int_equal(wg_safetensors_count(f), 12);
    expect(f, "state_dict.weight", "F32", WG_DIMS(2, 3), eighths(0));
    expect(f, "state_dict.bias", "F32", WG_DIMS(2), eighths(6));
    expect(f, "parameters.weight", "F32", WG_DIMS(2, 3), eighths(0));
    expect(f, "optimizer.state.0.step", "F32", WG_SCALAR, NUMBERS(1));
    expect(f, "list.1.0", "F32", WG_DIMS(3, 4), eighths(0));
    expect(f, "list.1.1", "F32", WG_DIMS(4), eighths(0));
    wg_safetensors_close(f);
}

/* A state dict loads into the layer of the same kind. */
static void test_pt_into_layer(void)
{
    wg_params *set = wg_params_new(WG_F32);
    wg_rnn lstm;
    wg_rnn_options options = wg_rnn_defaults();
    options.cell = WG_LSTM;
    assert_int_equal(wg_rnn_init(&lstm, set, NULL, 2, 3, options), WG_OK);
    wg_safetensors *f = open_tensors("lstm.pt");
    wg_checkpoint c = {.params = set, .step = 5};
    wg_error error = {0};
    if (wg_checkpoint_load(f, &c, NULL, NULL, &error) != WG_OK) fail_msg("%s", error.text);
    assert_true(((const float *)wg_param_value(lstm.cell[0].weight_hh))[35] == (24 + 35) / 8.0f);
    assert_true(((const float *)wg_param_value(lstm.cell[0].bias_hh))[11] == (24 + 36 + 12 + 11) / 8.0f);
    assert_int_equal(c.step, 0);
    wg_safetensors_close(f);
    wg_params_free(set);
}

/* ---- a pickle ---- */

/* Opens a .pt of this pickle and a storage "0" of 6 floats. */
static wg_safetensors *open_pickle(const void *pickle, size_t size, wg_error *error)
{
    static unsigned char bytes[8192];
    float storage[6];
    for (int i = 0; i < 6; i++) storage[i] = (float)i / 8;
    const zip_part parts[] = {{"a/data.pkl", pickle, size}, {"a/data/0", storage, sizeof storage}};
    *error = (wg_error){0};
    return wg_safetensors_parse(bytes, zip_file(bytes, parts, 2).size, "p.pt", error);
}

#define S "X\7\0\0\0storage"
#define KEY                                                                                                        \
    "X\1\0\0\0"                                                                                                    \
    "0"
#define CPU "X\3\0\0\0cpu"
#define W   "X\1\0\0\0w"
/* {'w': rebuild(storage '0' of `n` elements, offset, sizes, strides, False)}; mark, dict and w stand before it. */
#define REBUILD(n, rest)                                                                                           \
    "\x80\2}" W "ctorch._utils\n_rebuild_tensor_v2\n((" S "ctorch\nFloatStorage\n" KEY CPU n "tQ" rest "\x89tRs."
/* The same with no hooks, and a dict in the place of a conj or neg bit. */
#define REBUILD_LAZY                                                                                               \
    "\x80\2}" W "ctorch._utils\n_rebuild_tensor_v2\n((" S "ctorch\nFloatStorage\n" KEY CPU                         \
    "K\6tQK\0K\2\x85K\1\x85\x89"                                                                                   \
    "ccollections\nOrderedDict\n)R}X\3\0\0\0neg\x88stRs."
#define PICKLE(literal) literal, sizeof(literal) - 1

static void test_pickle_accepted(void)
{
    static const struct {
        const char *pickle;
        size_t size;
        int rank;
        int64_t sizes[2];
        double last;
    } rows[] = {{PICKLE(REBUILD("K\6", "K\0K\2K\3\x86K\3K\1\x86")), 2, {2, 3}, E(5)},
                {PICKLE(REBUILD("K\6", "K\1K\5\x85K\1\x85")), 1, {5}, E(5)},
                {PICKLE(REBUILD("M\6\0", "J\2\0\0\0\x8a\1\2\x85\x8a\1\2\x85")), 1, {2}, E(4)},
                {PICKLE(REBUILD("K\6", "K\5))")), 0, {0}, E(5)},
                {PICKLE(REBUILD("K\6", "K\6K\0\x85K\1\x85")), 1, {0}, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_error error;
        wg_entry e;
        double got[8];
        wg_safetensors *f = open_pickle(rows[i].pickle, rows[i].size, &error);
        if (!f) fail_msg("row %zu: %s", i, error.text);
        const wg_shape shape = wg_shape_of(rows[i].rank, rows[i].sizes);
        assert_true(wg_safetensors_find(f, "w", &e) && wg_shape_equal(&e.shape, &shape));
        assert_int_equal(wg_entry_read(&e, WG_F64, got, &error), WG_OK);
        if (e.bytes) assert_true(got[e.bytes / 4 - 1] == rows[i].last);
        wg_safetensors_close(f);
    }
}

/* A machine of the other byte order wrote the storages; or said something else of them. */
static void test_byte_order(void)
{
    static const char pickle[] = REBUILD("K\2", "K\0K\2\x85K\1\x85");
    static const unsigned char big[] = {0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0}; /* 1, -2 */
    zip_part parts[] = {{"a/data.pkl", PICKLE(pickle)}, {"a/data/0", big, sizeof big}, {"a/byteorder", "big", 3}};
    unsigned char bytes[1024];
    wg_error error = {0};
    wg_safetensors *f = wg_safetensors_parse(bytes, zip_file(bytes, parts, 3).size, "p.pt", &error);
    if (!f) fail_msg("%s", error.text);
    expect(f, "w", "F32", WG_DIMS(2), NUMBERS(1, -2));
    wg_safetensors_close(f);
    parts[2] = (zip_part){"a/byteorder", "little", 6};
    f = wg_safetensors_parse(bytes, zip_file(bytes, parts, 3).size, "p.pt", &error);
    expect(f, "w", "F32", WG_DIMS(2), NUMBERS(0x1.007ep-134, 0x1.8p-142));
    wg_safetensors_close(f);
    static const char *const others[] = {"", "middle", "little-endian"};
    for (int i = 0; i < 3; i++) {
        parts[2] = (zip_part){"a/byteorder", others[i], strlen(others[i])};
        error = (wg_error){0};
        assert_null(wg_safetensors_parse(bytes, zip_file(bytes, parts, 3).size, "p.pt", &error));
        ASSERT_HAS(error.text, "its byteorder is neither little nor big");
    }
    parts[1].name = "a/data/1";
    error = (wg_error){0};
    assert_null(wg_safetensors_parse(bytes, zip_file(bytes, parts, 2).size, "p.pt", &error));
    ASSERT_HAS(error.text, "w: its storage is not in the file");
}

#define MANY_63 "\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f" /* 2^63 - 1 */

static void test_pickle_refused(void)
{
    static const struct {
        const char *pickle;
        size_t size;
        const char *said;
    } rows[] = {
        {PICKLE("\x80\2cos\nsystem\nX\2\0\0\0ls\x85R."), "names \"os system\""},
        {PICKLE("\x80\2c__builtin__\neval\n."), "names \"__builtin__ eval\""},
        {PICKLE("\x80\2ctorch\nFloatStorage2\n."), "names \"torch FloatStorage2\""},
        {PICKLE("\x80\2c\n\n."), "names \" \""},
        {PICKLE("\x80\2ctorch\nFloatStorage"), "truncated"},
        {PICKLE("\x80\4."), "protocol other than 2"},
        {PICKLE("}."), "not a pickle"},
        {PICKLE("\x80\2"), "truncated"},
        {PICKLE("\x80\2."), "stack is empty"},
        {PICKLE("\x80\2}}."), "more than one value"},
        {PICKLE("\x80\2(."), "mark in the place"},
        {PICKLE("\x80\2t."), "no mark"},
        {PICKLE("\x80\2u."), "no mark"},
        {PICKLE("\x80\2}Nu."), "no mark"},
        {PICKLE("\x80\2NNNs."), "items without a dict"},
        {PICKLE("\x80\2}Na."), "items of a dict for a list"},
        {PICKLE("\x80\2](NNu."), "items of a dict for a list"},
        {PICKLE("\x80\2}(Nu."), "items of a dict for a list"},
        {PICKLE("\x80\2}q\1."), "memo numbers are out of order"},
        {PICKLE("\x80\2h\0."), "memo number that was not put"},
        {PICKLE("\x80\2X\xff\xff\xff\xff"
                "a."),
         "truncated"},
        {PICKLE("\x80\2X\1\0\0\0\xff."), "not UTF-8"},
        {PICKLE("\x80\2}}Nb."), "state of no dict"},
        {PICKLE("\x80\2})R."), "call of no name"},
        {PICKLE("\x80\2ccollections\nOrderedDict\nN\x85R."), "other arguments"},
        {PICKLE("\x80\2ctorch._utils\n_rebuild_parameter\nN\x85R."), "parameter that is no tensor"},
        {PICKLE("\x80\2NQ."), "persistent id"},
        {PICKLE("\x80\2J\xff\xff\xff\xffQ."), "persistent id"},
        {PICKLE("\x80\2(" S "ccollections\nOrderedDict\n" KEY CPU "K\6tQ."), "persistent id"},
        {PICKLE(REBUILD("K\6", "K\1K\6\x85K\1\x85")), "w: it reads past its storage"},
        {PICKLE(REBUILD("K\6", "K\0K\2\x85K\6\x85")), "reads past"},
        {PICKLE(REBUILD("K\6", MANY_63 "K\2\x85K\1\x85")), "reads past"},
        {PICKLE(REBUILD("K\6", "K\0K\2\x85" MANY_63 "\x85")), "reads past"},
        {PICKLE(REBUILD("K\6", "K\0" MANY_63 MANY_63 "\x86K\0K\0\x86")), "too many elements"},
        {PICKLE(REBUILD("K\6", "K\0\x8a\4\xff\xff\xff\x7f\x85K\0\x85")), "more elements than the file"},
        {PICKLE(REBUILD("K\6", "K\0J\xff\xff\xff\xff\x85K\1\x85")), "is not (storage, offset"},
        {PICKLE(REBUILD("K\6", "K\0K\2\x85K\1K\1\x86")), "is not (storage, offset"},
        {PICKLE(REBUILD("K\7", "K\0K\2\x85K\1\x85")), "another size than the pickle says"},
        {PICKLE(REBUILD_LAZY), "save .resolve_neg()"},
        {PICKLE("\x80\2}N"
                "ctorch._utils\n_rebuild_tensor_v2\n((" S "ctorch\nFloatStorage\n" KEY CPU "K\6tQK\0))tRs."),
         "p.pt: a key under it is neither a string nor an integer"},
        {PICKLE("\x80\2}q\0" W "h\0s."), "nested more than 32 deep"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_error error;
        wg_safetensors *f = open_pickle(rows[i].pickle, rows[i].size, &error);
        if (f) fail_msg("row %zu (%s) was accepted", i, rows[i].said);
        assert_int_equal(error.status, WG_ERR_FORMAT);
        if (!strstr(error.text, rows[i].said)) fail_msg("row %zu: %s, not %s", i, error.text, rows[i].said);
        ASSERT_HAS(error.text, "p.pt: ");
    }
}

/* Of the 256 opcodes, those that torch.save writes are followed; each other one is refused by its name. */
static void test_opcodes(void)
{
    static const unsigned char followed[] = "\x80.(N\x88\x89GKMJ\x8aXcqrhj)\x85\x86\x87t}su]aebQR";
    int named = 0;
    for (int code = 0; code < 256; code++) {
        unsigned char pickle[] = {0x80, 2, (unsigned char)code, '.'};
        wg_error error;
        wg_safetensors *f = open_pickle(pickle, sizeof pickle, &error);
        const bool refused = strstr(error.text, "the pickle has the opcode") != NULL;
        assert_int_equal(refused, !(code && strchr((const char *)followed, code)));
        named += refused && !strstr(error.text, "of no name");
        wg_safetensors_close(f);
    }
    assert_int_equal(named, 68 - 31); /* Python's pickletools knows 68 */
    wg_error error;
    assert_null(open_pickle(PICKLE("\x80\2\x93."), &error));
    ASSERT_HAS(error.text, "STACK_GLOBAL (0x93)");
}

/* Dicts that share dicts would give 2^24 names: (d0, d1 = {1: d0, 2: d0}, d2 = {1: d1, 2: d1}, ...). */
static void check_multiplied(const char *d0, size_t size, const char *said)
{
    unsigned char pickle[1024] = "\x80\2(";
    size_t n = 3;
    memcpy(pickle + n, d0 + 2, size - 3); /* without protocol and stop */
    n += size - 3;
    memcpy(pickle + n, "q\0", 2);
    n += 2;
    for (int i = 0; i < 24; i++) {
        const unsigned char d = (unsigned char)i,
                            next[] = {'}', '(', 'K', 1, 'h', d, 'K', 2, 'h', d, 'u', 'q', d + 1};
        memcpy(pickle + n, next, sizeof next);
        n += sizeof next;
    }
    memcpy(pickle + n, "t.", 2);
    wg_error error;
    assert_null(open_pickle(pickle, n + 2, &error));
    ASSERT_HAS(error.text, said);
}

static void case_names_multiply(void)
{
    check_multiplied(PICKLE("\x80\2}K\1}s."), "contain each other too often");
    check_multiplied(PICKLE(REBUILD("K\6", "K\0))")), "more tensors than a file of this size has");
}

/* ---- memory and faults ---- */

/* A tensor that says to be large takes little memory. */
static void case_pt_asks_memory(void)
{
    wg_error error;
    fault_begin(0, 0, false);
    assert_null(open_pickle(PICKLE(REBUILD("K\6", "K\0\x8a\4\xff\xff\xff\x7f\x85K\0\x85")), &error));
    assert_true(fault.largest < 1 << 16);
    fault_end();
}

static wg_status read_pt(wg_error *error) { return read_tensors("strided.pt", error); }
static wg_status read_pt_old(wg_error *error) { return read_tensors("old.pt", error); }
static void test_pt_faults(void)
{
    check_faults(read_pt);
    check_faults(read_pt_old);
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(test_pt),
        TEST_CASE(test_pt_checkpoint),
        TEST_CASE(test_pt_old),
        TEST_CASE(test_pt_into_layer),
        TEST_CASE(test_pickle_accepted),
        TEST_CASE(test_pickle_refused),
        TEST_CASE(test_byte_order),
        TEST_CASE(test_opcodes),
        TEST_CASE(case_names_multiply),
        TEST_CASE(case_pt_asks_memory),
        TEST_CASE(test_pt_faults),
    };
    make_folder();
    int failed = RUN_TESTS(tests);
    remove_folder();
    return failed;
}
