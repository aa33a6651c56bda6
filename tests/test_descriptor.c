/* Ops of users: what a tape refuses of their descriptors, their arguments and what their functions return. */
#include "tensors.h"

static wg_status infer(wg_infer *c)
{
    c->out = c->in[0];
    return WG_OK;
}

static void ones(const wg_args *args, int64_t task)
{
    for (int64_t i = 0; i < args->out.numel; i++) ((float *)args->out.data)[i] = 1;
}

static void pointwise_ones(int64_t n, void *y, const void *const *x)
{
    for (int64_t i = 0; i < n; i++) ((float *)y)[i] = 1;
}

static wg_kernel choose(const wg_op *op, const wg_dtype *in, int n_in, wg_dtype out)
{
    return op->kind == WG_KIND_POINTWISE ? (wg_kernel)(void (*)(void))pointwise_ones : ones;
}

static bool same(const wg_shape *in, const wg_layout *from, const wg_shape *out, const void *attr, wg_layout *to)
{
    *to = *from;
    return true;
}

static wg_op op_of(const char *name, wg_kind kind)
{
    return (wg_op){.struct_size = sizeof(wg_op),
                   .name = name,
                   .kind = kind,
                   .min_in = 1,
                   .max_in = 1,
                   .flags = WG_OP_NO_GRADIENT,
                   .infer = infer,
                   .select = choose,
                   .view = same};
}

/* Records the op and reads a value that depends on it. Returns the status. */
static wg_status recorded(wg_tape *tape, const wg_op *op, const wg_tensor *in, int n, const void *attr, size_t size)
{
    wg_tensor y = wg_record_on(tape, op, in, n, attr, size);
    const void *value = wg_value(wg_tanh(wg_add(y, y)));
    wg_status status = wg_tape_reset(tape);
    CHECK((value != NULL) == (status == WG_OK));
    return status;
}

static void refused(wg_tape *tape, const wg_op *op, const char *words)
{
    wg_tensor x = wg_uniform(tape, WG_F32, WG_DIMS(5, 3), 0, 1);
    if (recorded(tape, op, &x, 1, NULL, 0) != WG_ERR_ARGUMENT || !strstr(wg_tape_message(tape), words))
        FAIL("'%s' has no '%s'", wg_tape_message(tape), words);
}

/* A descriptor at an address of its own, by which a tape knows it. */
static wg_op *fresh(wg_kind kind)
{
    static wg_op ops[64];
    static int n;
    ops[n] = op_of("mine", kind);
    return &ops[n++];
}

/* A descriptor with one field set to something else is refused. */
#define REFUSED(kind, setting, words)                                                                              \
    do {                                                                                                           \
        wg_op *mine = fresh(kind);                                                                                 \
        mine->setting;                                                                                             \
        refused(tape, mine, words);                                                                                \
    } while (0)

static int64_t no_tasks(const wg_args *args) { return 0; }

static wg_status infer_and_fail(wg_infer *c)
{
    c->out = c->in[0];
    (void)wg_infer_fail(c, WG_ERR_ARGUMENT, "does not like it");
    return WG_OK; /* forgotten */
}

/* Two bad indices, the first one beyond 2^32. */
static void bad_indices(const wg_args *args, int64_t task)
{
    ones(args, task);
    wg_args_bad_index(args, (1ll << 32) + 2, 8, 3);
    wg_args_bad_index(args, 5, 7, 3);
}

static wg_kernel choose_bad(const wg_op *op, const wg_dtype *in, int n_in, wg_dtype out) { return bad_indices; }

static void what_functions_return(void)
{
    wg_tape *tape = new_tape();
    REFUSED(WG_KIND_GENERAL, tasks = no_tasks, "mine: its function tasks gives 0: must be 1 or more");
    REFUSED(WG_KIND_GENERAL, infer = infer_and_fail, "does not like it");
    wg_op *op = fresh(WG_KIND_GENERAL);
    op->flags |= WG_OP_CHECKS_INDEX;
    op->select = choose_bad;
    wg_tensor x = wg_ones(tape, WG_F32, WG_DIMS(2));
    CHECK(recorded(tape, op, &x, 1, NULL, 0) == WG_ERR_INDEX);
    CHECK(strstr(wg_tape_message(tape), "index 7 at position 5 is out of range (0 to 2)") != NULL);
    wg_tape_free(tape);
}

static void case_op_without_select(void)
{
    static const wg_kind reserved[] = {WG_KIND_LEAF, WG_KIND_PRODUCT, WG_KIND_CONCAT, (wg_kind)99, (wg_kind)-1};
    wg_tape *tape = new_tape();
    REFUSED(WG_KIND_POINTWISE, select = NULL, "mine: invalid descriptor: select is NULL");
    REFUSED(WG_KIND_GENERAL, select = NULL, "mine: invalid descriptor: select is NULL");
    REFUSED(WG_KIND_GENERAL, infer = NULL, "mine: invalid descriptor: infer is NULL");
    REFUSED(WG_KIND_VIEW, infer = NULL, "mine: invalid descriptor: infer is NULL");
    REFUSED(WG_KIND_VIEW, view = NULL, "mine: invalid descriptor: view is NULL");
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        refused(tape, fresh(reserved[i]), "mine: invalid descriptor: ");
    }
    REFUSED(WG_KIND_GENERAL, name = NULL, "record: the descriptor has no name");
    REFUSED(WG_KIND_GENERAL, name = "", "record: the descriptor has no name");
    REFUSED(WG_KIND_GENERAL, struct_size = 16, "struct_size");
    REFUSED(WG_KIND_GENERAL, struct_size = 0, "struct_size");
    REFUSED(WG_KIND_GENERAL, struct_size = SIZE_MAX, "struct_size");
    refused(tape, NULL, "record: the descriptor is NULL");
    wg_tape_free(tape);
}

static void flags_and_counts_are_checked(void)
{
    wg_tape *tape = new_tape();
    wg_op *op;
    REFUSED(WG_KIND_GENERAL, flags = WG_OP_ADDS_TO, "mine: invalid descriptor: WG_OP_ADDS_TO");
    op = fresh(WG_KIND_POINTWISE);
    op->flags = WG_OP_ADDS_TO;
    op->max_in = 2;
    refused(tape, op, "mine: invalid descriptor: WG_OP_ADDS_TO");
    REFUSED(WG_KIND_GENERAL, flags = 1u << 20, "mine: invalid descriptor: unknown flags");
    REFUSED(WG_KIND_GENERAL, min_in = -1, "mine: invalid descriptor: min_in");
    REFUSED(WG_KIND_GENERAL, min_in = 2, "mine: invalid descriptor: min_in");
    REFUSED(WG_KIND_POINTWISE, min_in = 0, "mine: invalid descriptor: a pointwise op");
    REFUSED(WG_KIND_POINTWISE, max_in = 5, "mine: invalid descriptor: a pointwise op");
    REFUSED(WG_KIND_POINTWISE, max_in = -1, "mine: invalid descriptor: a pointwise op");
    REFUSED(WG_KIND_VIEW, max_in = 2, "mine: invalid descriptor: a view");
    wg_tensor x = wg_uniform(tape, WG_F32, WG_DIMS(5, 3), 0, 1);
    static const wg_kind allowed[] = {WG_KIND_GENERAL, WG_KIND_POINTWISE, WG_KIND_VIEW};
    for (size_t i = 0; i < 3; i++) {
        x = wg_uniform(tape, WG_F32, WG_DIMS(5, 3), 0, 1);
        CHECK(recorded(tape, fresh(allowed[i]), &x, 1, NULL, 0) == WG_OK);
    }
    wg_tape_free(tape);
}

static void arguments_are_checked(void)
{
    static wg_op op, many;
    static const char bytes[(1 << 20) + 1];
    wg_tape *tape = new_tape();
    op = many = op_of("mine", WG_KIND_GENERAL);
    many.max_in = 3;
    wg_tensor x = wg_uniform(tape, WG_F32, WG_DIMS(5, 3), 0, 1), stray[2] = {x, {.node = 12345}};
    const struct {
        const wg_tensor *in;
        int n;
        const void *attr;
        size_t size;
        const char *words;
    } rows[] = {{&x, 1, NULL, 8, "NULL"},       {&x, 1, bytes, sizeof bytes, "2^20"},
                {NULL, 1, NULL, 0, "NULL"},     {NULL, 0, NULL, 0, "operands"},
                {&x, -1, NULL, 0, "operands"},  {&x, INT32_MIN, NULL, 0, "operands"},
                {&x, 1, NULL, SIZE_MAX, "NULL"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        x = wg_uniform(tape, WG_F32, WG_DIMS(5, 3), 0, 1);
        CHECK(recorded(tape, &op, rows[i].in, rows[i].n, rows[i].attr, rows[i].size) == WG_ERR_ARGUMENT);
        CHECK(strstr(wg_tape_message(tape), "mine: ") && strstr(wg_tape_message(tape), rows[i].words));
    }
    CHECK(wg_is_nil(wg_record(&op, NULL, 1, NULL, 0)) && wg_is_nil(wg_record(NULL, NULL, 1, NULL, 0)));
    CHECK(wg_is_nil(wg_record_on(NULL, &op, &x, 1, NULL, 0)));
    stray[0] = wg_uniform(tape, WG_F32, WG_DIMS(5, 3), 0, 1);
    CHECK(recorded(tape, &many, stray, 2, NULL, 0) == WG_OK); /* without a tape it is none, whatever its node */
    CLOSE(tape);
}

/* ---- what the functions of an op return ---- */

static wg_tape *other;
static int wanted;

static wg_status odd_infer(wg_infer *c)
{
    static const wg_shape shapes[] = {
        {.rank = 99}, {.rank = -1}, {.rank = 1, .size = {-3}}, {.rank = 2, .size = {0, INT64_MAX}}};
    c->out = c->in[0];
    if (wanted < 4) c->out = shapes[wanted];
    if (wanted == 4) c->dtype = (wg_dtype)77;
    if (wanted == 5) c->dtype = (wg_dtype)-1;
    return wanted == 6 ? WG_ERR_SHAPE : WG_OK;
}

static void odd_results_of_infer(void)
{
    static wg_op op;
    wg_tape *tape = new_tape();
    op = op_of("odd", WG_KIND_GENERAL);
    op.infer = odd_infer;
    for (wanted = 0; wanted < 7; wanted++) {
        wg_tensor x = wg_uniform(tape, WG_F32, WG_DIMS(5, 3), 0, 1);
        wg_status status = recorded(tape, &op, &x, 1, NULL, 0);
        CHECK(status == (wanted == 4 || wanted == 5 ? WG_ERR_DTYPE : WG_ERR_SHAPE));
        CHECK(!strncmp(wg_tape_message(tape), "odd: [5, 3]", 11));
    }
    wg_tape_free(tape);
}

static wg_tensor odd_vjp(const wg_vjp_args *v, int k)
{
    wg_tensor d = v->grad;
    if (wanted == 0) return wg_ones(other, WG_F32, WG_DIMS(5, 3));
    if (wanted == 1) d.epoch--;
    if (wanted == 2) d.node = 1u << 30;
    if (wanted == 3) return wg_ones(d.tape, WG_F64, WG_DIMS(5, 3));
    if (wanted == 4) return wg_ones(d.tape, WG_F32, WG_DIMS(7));
    return d;
}

static void odd_results_of_vjp(void)
{
    static wg_op op;
    wg_tape *tape = new_tape();
    other = new_tape();
    op = op_of("odd", WG_KIND_GENERAL);
    op.flags = 0;
    op.vjp = odd_vjp;
    for (wanted = 0; wanted < 6; wanted++) {
        wg_tensor x = wg_uniform(tape, WG_F32, WG_DIMS(5, 3), 0, 1);
        wg_tensor d = wg_grad1(wg_sum_all(wg_record(&op, &x, 1, NULL, 0)), x, WG_NONE);
        CHECK(wg_is_nil(d) == (wanted < 5) && (wg_value(d) != NULL) == (wanted == 5));
        CHECK((wg_tape_reset(tape) == WG_OK) == (wanted == 5));
        CHECK(wanted == 5 || strstr(wg_tape_message(tape), "odd: "));
    }
    wg_tape_free(tape);
    CLOSE(other);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(case_op_without_select),       TEST_CASE(what_functions_return),
                                 TEST_CASE(flags_and_counts_are_checked), TEST_CASE(arguments_are_checked),
                                 TEST_CASE(odd_results_of_infer),         TEST_CASE(odd_results_of_vjp)};
    return RUN_TESTS(tests);
}
