/* Loading by a map: names, axes, gates and rows against loops; what is refused, and that nothing changes then. */
#include "random.h"
#include "test_io.h"

enum { MOST = 8 };

typedef struct named {
    const char *name;
    wg_shape shape;
    double first; /* its elements count up from this */
} named;

/* A file of these tensors. */
static wg_safetensors *file_of(const named *tensors, size_t n)
{
    static float numbers[MOST][512];
    wg_entry entries[MOST];
    wg_error error = {0};
    assert_true(n <= MOST);
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < 512; k++) numbers[i][k] = (float)(tensors[i].first + k);
        entries[i] = (wg_entry){.name = tensors[i].name, .shape = tensors[i].shape, .data = numbers[i]};
    }
    if (wg_npz_write(in_folder("m.npz"), entries, n, &error) != WG_OK) fail_msg("%s", error.text);
    wg_safetensors *file = wg_safetensors_open(in_folder("m.npz"), &error);
    if (!file) fail_msg("%s", error.text);
    return file;
}

typedef struct model {
    wg_params *set;
    wg_param *member[MOST];
    size_t n;
} model;

static model model_of(const named *members, size_t n)
{
    model m = {.set = wg_params_new(WG_F32), .n = n};
    for (size_t i = 0; i < n; i++)
        m.member[i] = wg_param_new(m.set, members[i].name, members[i].shape, wg_init_constant(-1));
    assert_int_equal(wg_params_status(m.set), WG_OK);
    return m;
}

static wg_status load(const model *m, const wg_safetensors *file, const wg_map_row *map, size_t n,
                      wg_tolerate tolerate, wg_error *error)
{
    wg_checkpoint c = {.params = m->set, .map = map, .n_map = n};
    *error = (wg_error){0};
    return wg_checkpoint_load(file, &c, tolerate, NULL, error);
}

static float at(const model *m, int member, int64_t i)
{
    return ((const float *)wg_param_value(m->member[member]))[i];
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- names ---- */

/* Each member has one element; the one of this name gets the tensor's. */
static void test_names(void)
{
    static const struct {
        const char *from, *to, *name, *member; /* member NULL: the row does not match */
    } rows[] = {{"model.*", "*", "model.a.b", "a.b"},
                {"*", "x.*", "a", "x.a"},
                {"a", "b", "a", "b"},
                {"*.q", "*.w", "l.0.q", "l.0.w"},
                {"h.*.ln_*.w", "layers.*.norm*.weight", "h.3.ln_2.w", "layers.3.norm2.weight"},
                {"*a*b", "*-*", "xaabb", "x-ab"},
                {"*.*.*.*", "* * * *", "1.2.3.4.5", "1 2 3 4.5"},
                {"a*", "b*", "a", "b"},
                {"a*c", "b", "abcabc", "b"},
                {"a*c", "b", "abcab", NULL},
                {"a", "b", "ab", NULL},
                {"ab", "b", "a", NULL},
                {"*.q.*", "b", "a.b.c", NULL}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        const named tensor = {rows[i].name, WG_DIMS(1), 7};
        const char *expected = rows[i].member ? rows[i].member : rows[i].name;
        const named member = {expected, WG_DIMS(1), 0};
        wg_safetensors *file = file_of(&tensor, 1);
        model m = model_of(&member, 1);
        const wg_map_row map = {rows[i].from, rows[i].to};
        wg_error error;
        if (load(&m, file, &map, 1, NULL, &error) != WG_OK) fail_msg("row %zu: %s", i, error.text);
        assert_true(at(&m, 0, 0) == 7);
        wg_safetensors_close(file);
        wg_params_free(m.set);
    }
}

/* The first row that matches counts; a tensor that none matches goes by its name; NULL leaves it out. */
static void test_first_row(void)
{
    static const named tensors[] = {{"m.a", {.rank = 0}, 1},
                                    {"m.b", {.rank = 0}, 2},
                                    {"c", {.rank = 0}, 3},
                                    {"m.d", {.rank = 0}, 4},
                                    {"o.x", {.rank = 0}, 5}};
    static const named members[] = {{"other", {.rank = 0}, 0}, {"b", {.rank = 0}, 0}, {"c", {.rank = 0}, 0}};
    static const wg_map_row map[] = {{"m.a", "other"}, {"*.d", NULL}, {"m.*", "*"}, {"o.*", NULL}};
    wg_safetensors *file = file_of(tensors, COUNT(tensors));
    model m = model_of(members, COUNT(members));
    wg_error error;
    if (load(&m, file, map, COUNT(map), NULL, &error) != WG_OK) fail_msg("%s", error.text);
    assert_true(at(&m, 0, 0) == 1 && at(&m, 1, 0) == 2 && at(&m, 2, 0) == 3);
    const wg_map_row all = {"*", "*"};
    assert_int_equal(load(&m, file, NULL, 1, wg_tolerate_all, &error), WG_OK); /* no map, whatever its size */
    assert_int_equal(load(&m, file, &all, 0, NULL, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "missing: other []");
    wg_safetensors_close(file);
    wg_params_free(m.set);
}

/* ---- rows, axes and gates ---- */

/* q, k and v, of which one is transposed, into one weight, in any order of the map. */
static void test_rows(void)
{
    static const named tensors[] = {{"0.q", {.rank = 2, .size = {2, 3}}, 0},
                                    {"0.k", {.rank = 2, .size = {3, 2}}, 100},
                                    {"0.v", {.rank = 2, .size = {1, 3}}, 200}};
    static const named member = {"0.in_proj", {.rank = 2, .size = {5, 3}}, 0};
    static const wg_map_row map[] = {
        {"*.v", "*.in_proj", .row = 4}, {"*.k", "*.in_proj", "io->oi", .row = 2}, {"*.q", "*.in_proj"}};
    wg_safetensors *file = file_of(tensors, 3);
    model m = model_of(&member, 1);
    wg_error error;
    if (load(&m, file, map, 3, NULL, &error) != WG_OK) fail_msg("%s", error.text);
    static const float expected[] = {0, 1, 2, 3, 4, 5, 100, 102, 104, 101, 103, 105, 200, 201, 202};
    for (int i = 0; i < 15; i++) assert_true(at(&m, 0, i) == expected[i]);
    wg_safetensors_close(file);
    wg_params_free(m.set);
}

/* ONNX's bias [1, 8 H] is both of ours; with gates i o f c there, i f c o here. */
static void test_parts_and_gates(void)
{
    static const named tensors[] = {{"B", {.rank = 2, .size = {1, 16}}, 0},
                                    {"W", {.rank = 3, .size = {1, 8, 3}}, 0}};
    static const named members[] = {{"bias_ih", {.rank = 1, .size = {8}}, 0},
                                    {"bias_hh", {.rank = 1, .size = {8}}, 0},
                                    {"weight", {.rank = 2, .size = {8, 3}}, 0}};
    static const wg_map_row map[] = {{"B", "bias_ih", "1o->o", "iofc->ifco", .rows = 8},
                                     {"W", "weight", "1oi->oi", "iofc->ifco"},
                                     {"B", "bias_hh", "1o->o", "iofc->ifco", .take = 8}};
    static const int order[] = {0, 2, 3, 1}; /* where i, f, c, o are */
    wg_safetensors *file = file_of(tensors, 2);
    model m = model_of(members, 3);
    wg_error error;
    if (load(&m, file, map, 3, NULL, &error) != WG_OK) fail_msg("%s", error.text);
    for (int i = 0; i < 8; i++) {
        const int from = 2 * order[i / 2] + i % 2;
        assert_true(at(&m, 0, i) == (float)from && at(&m, 1, i) == (float)(8 + from));
        for (int k = 0; k < 3; k++) assert_true(at(&m, 2, 3 * i + k) == (float)(3 * from + k));
    }
    wg_safetensors_close(file);
    wg_params_free(m.set);
}

/* Random permutations of up to 5 axes, some of them joined, against a loop. */
static void one_permutation(uint64_t seed)
{
    random_state = seed * 0x9e3779b97f4a7c15u;
    const int rank = 1 + (int)below(5);
    named tensor = {"t", {.rank = rank}, 0}, member = {"m", {.rank = 0}, 0};
    int order[5] = {0};
    char axes[32];
    size_t n = 0;
    for (int i = 0; i < rank; i++) {
        tensor.shape.size[i] = 1 + (int64_t)below(3);
        axes[n++] = (char)('a' + i);
        const int other = (int)below((size_t)i + 1);
        order[i] = order[other];
        order[other] = i;
    }
    axes[n++] = '-', axes[n++] = '>';
    for (int i = 0; i < rank;) {
        const int group = 1 + (int)below((size_t)(rank - i)), end = i + group;
        if (group > 1) axes[n++] = '(';
        int64_t size = 1;
        for (; i < end; i++) {
            axes[n++] = (char)('a' + order[i]);
            size *= tensor.shape.size[order[i]];
        }
        if (group > 1) axes[n++] = ')';
        member.shape.size[member.shape.rank++] = size;
    }
    axes[n] = 0;
    wg_safetensors *file = file_of(&tensor, 1);
    model m = model_of(&member, 1);
    const wg_map_row map = {"t", "m", axes};
    wg_error error;
    if (load(&m, file, &map, 1, NULL, &error) != WG_OK) fail_msg("%s: %s", axes, error.text);
    const int64_t numel = wg_param_numel(m.member[0]);
    for (int64_t i = 0; i < numel; i++) {
        int64_t index[5] = {0}, rest = i, from = 0;
        for (int k = rank - 1; k >= 0; k--) {
            index[order[k]] = rest % tensor.shape.size[order[k]];
            rest /= tensor.shape.size[order[k]];
        }
        for (int k = 0; k < rank; k++) from = from * tensor.shape.size[k] + index[k];
        if (at(&m, 0, i) != (float)from) fail_msg("%s: element %d", axes, (int)i);
    }
    wg_safetensors_close(file);
    wg_params_free(m.set);
}

static void test_permutations(void) { check_rounds(300, one_permutation); }

static void test_ones(void)
{
    static const struct {
        const char *axes;
        wg_shape from, to;
    } rows[] = {{"1->", {.rank = 1, .size = {1}}, {.rank = 0}},
                {"11->1", {.rank = 2, .size = {1, 1}}, {.rank = 1, .size = {1}}},
                {"->1", {.rank = 0}, {.rank = 1, .size = {1}}},
                {"a -> 1 a 1", {.rank = 1, .size = {3}}, {.rank = 3, .size = {1, 3, 1}}},
                {"a1->(1a)", {.rank = 2, .size = {3, 1}}, {.rank = 1, .size = {3}}},
                {"ab->()ab", {.rank = 2, .size = {3, 2}}, {.rank = 3, .size = {1, 3, 2}}},
                {"ab->ba", {.rank = 2, .size = {0, 2}}, {.rank = 2, .size = {2, 0}}}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        const named tensor = {"t", rows[i].from, 5}, member = {"m", rows[i].to, 0};
        wg_safetensors *file = file_of(&tensor, 1);
        model m = model_of(&member, 1);
        const wg_map_row map = {"t", "m", rows[i].axes};
        wg_error error;
        if (load(&m, file, &map, 1, NULL, &error) != WG_OK) fail_msg("%s: %s", rows[i].axes, error.text);
        for (int64_t k = 0; k < wg_param_numel(m.member[0]); k++) assert_true(at(&m, 0, k) == (float)(5 + k));
        wg_safetensors_close(file);
        wg_params_free(m.set);
    }
}

/* ---- what is refused ---- */

static void test_rows_refused(void)
{
    static const struct {
        wg_map_row row;
        const char *said;
    } rows[] = {{{NULL, "m"}, "from is NULL"},
                {{"*****", "m"}, "more than 4 stars"},
                {{"t", "*"}, "to has more stars than from"},
                {{"t", "m", .row = -1}, "a row is negative"},
                {{"t", "m", .take = -1}, "a row is negative"},
                {{"t", "m", .rows = -1}, "a row is negative"},
                {{"t", "m", "io"}, "axes are not the same letters"},
                {{"t", "m", "io->o"}, "axes"},
                {{"t", "m", "ii->ii"}, "axes"},
                {{"t", "m", "io->ioo"}, "axes"},
                {{"t", "m", "(io)->io"}, "axes"},
                {{"t", "m", "io->(io"}, "axes"},
                {{"t", "m", "io->((io))"}, "axes"},
                {{"t", "m", "i2->2i"}, "axes"},
                {{"t", "m", "abcdefghi->ihgfedcba"}, "axes"},
                {{"t", "m", .gates = "if"}, "gates are not the same letters"},
                {{"t", "m", .gates = "if->ig"}, "gates"},
                {{"t", "m", .gates = "ii->ii"}, "gates"},
                {{"t", "m", .gates = "if->ifi"}, "gates"},
                {{"t", "m", .gates = "->"}, "gates"},
                {{"t", "m", .gates = "abcdefghi->abcdefghi"}, "gates"}};
    const named tensor = {"t", WG_DIMS(4, 2), 0}, member = {"m", WG_DIMS(4, 2), 0};
    wg_safetensors *file = file_of(&tensor, 1);
    model m = model_of(&member, 1);
    for (size_t i = 0; i < COUNT(rows); i++) {
        wg_error error;
        assert_int_equal(load(&m, file, &rows[i].row, 1, wg_tolerate_all, &error), WG_ERR_ARGUMENT);
        ASSERT_HAS(error.text, "row 0 of the map");
        ASSERT_HAS(error.text, rows[i].said);
    }
    wg_safetensors_close(file);
    wg_params_free(m.set);
}

static wg_difference_kind seen;
static int n_seen;

static bool note(void *context, const wg_difference *difference)
{
    seen = difference->kind;
    n_seen++;
    return true;
}

/* Differences of one kind, which can be tolerated: what fits is then loaded. Tensors t [4, 2] and u [2, 2]. */
static void test_differences(void)
{
    static const struct {
        wg_map_row rows[2];
        wg_difference_kind kind;
        const char *said;
        int n;
    } rows[] = {
        {{{"t", "x"}, {"u", NULL}}, WG_UNEXPECTED, "t goes to x, which the model lacks", 2},
        {{{"t", "m", "oi->io"}, {"u", NULL}},
         WG_OTHER_SHAPE,
         "t is [2, 4] by the map, from row 0 on; m is [6, 2]",
         1},
        {{{"t", "m", "o->o"}, {"u", NULL}},
         WG_OTHER_SHAPE,
         "t is [4, 2] in the file, and by the map axes are not",
         1},
        {{{"t", "m", "1i->i1"}, {"u", NULL}}, WG_OTHER_SHAPE, "an axis called 1 is not of size 1", 1},
        {{{"t", "m", .take = 5}, {"u", NULL}}, WG_OTHER_SHAPE, "fewer rows than the map takes", 1},
        {{{"t", "m", .take = 1, .rows = 4}, {"u", NULL}}, WG_OTHER_SHAPE, "fewer rows than the map takes", 1},
        {{{"t", "m", .gates = "abc->cba"}, {"u", NULL}}, WG_OTHER_SHAPE, "not a multiple of the gates", 1},
        {{{"t", "m"}, {"u", NULL}}, WG_OTHER_SHAPE, "t is [4, 2] by the map, from row 0 on; m is [6, 2]", 1},
        {{{"t", "m", .row = 3}, {"u", NULL}}, WG_OTHER_SHAPE, "from row 3 on; m is [6, 2]", 1},
        {{{"t", "m", .row = INT64_MAX}, {"u", NULL}},
         WG_OTHER_SHAPE,
         "by the map, from row 9223372036854775807",
         1},
        {{{"t", "m", .row = 2}, {"u", NULL}}, WG_MISSING, "missing: rows 0 to 1 of m [6, 2]", 1},
        {{{"t", "m", .rows = 3}, {"u", "m", .row = 4}}, WG_MISSING, "missing: rows 3 to 3 of m", 1},
        {{{"t", "m", .rows = 4}, {"u", NULL}}, WG_MISSING, "missing: rows 4 to 5 of m", 1},
        {{{"t", NULL}, {"u", NULL}}, WG_MISSING, "missing: m [6, 2]", 1},
        {{{"t", "m", .rows = 4}, {"nothing", "m", .row = 4}}, WG_UNEXPECTED, "unexpected: u [2, 2]", 2},
    };
    static const named tensors[] = {{"t", {.rank = 2, .size = {4, 2}}, 0}, {"u", {.rank = 2, .size = {2, 2}}, 100}};
    static const named member = {"m", {.rank = 2, .size = {6, 2}}, 0};
    wg_safetensors *file = file_of(tensors, 2);
    for (size_t i = 0; i < COUNT(rows); i++) {
        model m = model_of(&member, 1);
        wg_error error;
        const wg_status status = load(&m, file, rows[i].rows, 2, NULL, &error);
        if (status != WG_ERR_FORMAT) fail_msg("row %zu: %d", i, status);
        if (rows[i].n == 1 && !strstr(error.text, rows[i].said)) fail_msg("row %zu: %s", i, error.text);
        for (int k = 0; k < 12; k++) assert_true(at(&m, 0, k) == -1);
        n_seen = 0;
        assert_int_equal(load(&m, file, rows[i].rows, 2, note, &error), WG_OK);
        if (n_seen != rows[i].n) fail_msg("row %zu: %d differences", i, n_seen);
        if (n_seen == 1) assert_int_equal(seen, rows[i].kind);
        if (rows[i].kind == WG_MISSING && rows[i].rows[0].row == 2)
            assert_true(at(&m, 0, 4) == 0 && at(&m, 0, 3) == -1);
        wg_params_free(m.set);
    }
    wg_safetensors_close(file);
}

/* Two tensors for the same rows are an error that nothing tolerates, unless they are one tied parameter's. */
static void test_overlaps(void)
{
    static const named tensors[] = {
        {"a", {.rank = 1, .size = {2}}, 1}, {"b", {.rank = 1, .size = {2}}, 1}, {"c", {.rank = 1, .size = {2}}, 9}};
    const named member = {"m", WG_DIMS(3), 0}, two = {"m", WG_DIMS(2), 0};
    static const wg_map_row overlap[] = {{"a", "m"}, {"b", "m", .row = 1}, {"c", NULL}};
    static const wg_map_row both[] = {{"a", "m"}, {"b", "m"}, {"c", NULL}};
    static const wg_map_row same[] = {{"c", NULL}, {"*", "*"}};
    wg_safetensors *file = file_of(tensors, 3);
    wg_error error;
    model m = model_of(&member, 1);
    assert_int_equal(load(&m, file, overlap, 3, wg_tolerate_all, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "a and b both go to rows of m");
    wg_params_free(m.set);
    m = model_of(&two, 1);
    assert_int_equal(load(&m, file, both, 3, wg_tolerate_all, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "both go to rows of m");
    wg_param_tie(m.set, "a", m.member[0]);
    wg_param_tie(m.set, "b", m.member[0]);
    assert_int_equal(load(&m, file, same, 2, NULL, &error), WG_OK);
    assert_true(at(&m, 0, 0) == 1 && at(&m, 0, 1) == 2);
    wg_param_tie(m.set, "c", m.member[0]);
    assert_int_equal(load(&m, file, &(wg_map_row){"*", "*"}, 1, wg_tolerate_all, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "are tied but differ");
    wg_safetensors_close(file);
    wg_params_free(m.set);
}

/* Also if one of another shape, which is tolerated, begins between them. */
static void test_overlaps_around_another_shape(void)
{
    static const named tensors[] = {{"a", {.rank = 1, .size = {9}}, 1},
                                    {"b", {.rank = 2, .size = {2, 2}}, 1},
                                    {"c", {.rank = 1, .size = {3}}, 100}};
    static const wg_map_row map[] = {{"a", "m"}, {"b", "m", .row = 2}, {"c", "m", .row = 3}};
    const named member = {"m", WG_DIMS(9), 0};
    wg_safetensors *file = file_of(tensors, 3);
    wg_error error;
    model m = model_of(&member, 1);
    assert_int_equal(load(&m, file, map, 3, wg_tolerate_all, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "a and c both go to rows of m");
    assert_true(at(&m, 0, 0) == -1 && at(&m, 0, 3) == -1);
    wg_safetensors_close(file);
    wg_params_free(m.set);
}

/* A name that the map makes too long; stars at the ends of a long name take no time. */
static void case_long_names(void)
{
    char name[2000], to[600];
    memset(name, 'a', sizeof name - 1);
    memset(to, '*', sizeof to - 1);
    name[sizeof name - 1] = to[sizeof to - 1] = 0;
    const named tensor = {name, WG_DIMS(1), 0}, member = {"m", WG_DIMS(1), 0};
    wg_safetensors *file = file_of(&tensor, 1);
    model m = model_of(&member, 1);
    wg_error error;
    const wg_map_row grows = {"*", "x*"}, slow = {"*a*a*a*b", "m"};
    assert_int_equal(load(&m, file, &grows, 1, wg_tolerate_all, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "a name of more than 1023 bytes");
    assert_int_equal(load(&m, file, &slow, 1, wg_tolerate_all, &error), WG_OK);
    wg_safetensors_close(file);
    wg_params_free(m.set);
}

/* Each allocation of a load fails once: nothing has changed. */
static void test_memory(void)
{
    static const named tensors[] = {{"0.q", {.rank = 2, .size = {2, 3}}, 0},
                                    {"0.k", {.rank = 2, .size = {2, 3}}, 100}};
    static const named member = {"0.w", {.rank = 2, .size = {4, 3}}, 0};
    static const wg_map_row map[] = {{"*.q", "*.w"}, {"*.k", "*.w", .row = 2}};
    wg_safetensors *file = file_of(tensors, 2);
    model m = model_of(&member, 1);
    wg_status status = WG_ERR_MEMORY;
    int k = 1;
    for (; k < 20 && status != WG_OK; k++) {
        wg_error error;
        fault_begin(0, k, false);
        status = load(&m, file, map, 2, NULL, &error);
        fault_end();
        if (status == WG_OK) break;
        assert_int_equal(status, WG_ERR_MEMORY);
        assert_true(at(&m, 0, 0) == -1);
    }
    assert_true(status == WG_OK && k == 4 && at(&m, 0, 11) == 105);
    wg_safetensors_close(file);
    wg_params_free(m.set);
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(test_names),        TEST_CASE(test_first_row),
        TEST_CASE(test_rows),         TEST_CASE(test_parts_and_gates),
        TEST_CASE(test_permutations), TEST_CASE(test_ones),
        TEST_CASE(test_rows_refused), TEST_CASE(test_differences),
        TEST_CASE(test_overlaps),     TEST_CASE(test_overlaps_around_another_shape),
        TEST_CASE(case_long_names),   TEST_CASE(test_memory),
    };
    make_folder();
    int failed = RUN_TESTS(tests);
    remove_folder();
    return failed;
}
