/* Paths that only a mistake takes, each with its message: what derivative rules and descriptors must not do, names
 * and sets that do not fit, dumps that cannot be written. */
#include "tensors.h"

#include <unistd.h>

/* ---- a derivative rule ----------------------------------------------------------------------------------------- */

static wg_param *w;
static wg_buffer *buffer;
static int deed;

static wg_status infer(wg_infer *c)
{
    c->out = c->in[0];
    return WG_OK;
}
static void ones(const wg_args *args, int64_t task)
{
    for (int64_t i = 0; i < args->out.numel; i++) ((double *)args->out.data)[i] = 1;
}
static wg_kernel select_ones(const wg_op *op, const wg_dtype *in, int n_in, wg_dtype out) { return ones; }
static wg_tensor vjp(const wg_vjp_args *v, int k)
{
    if (deed == 0) return wg_mul(v->grad, wg_use(v->grad.tape, w));
    if (deed == 1) wg_assign(buffer, v->grad);
    if (deed == 2) return wg_uniform(v->grad.tape, WG_F64, WG_DIMS(3), 0, 1);
    return v->grad;
}
static const wg_op op = {.struct_size = sizeof(wg_op),
                         .name = "op",
                         .min_in = 1,
                         .max_in = 1,
                         .infer = infer,
                         .vjp = vjp,
                         .select = select_ones};

static void rules_must_not_use_assign_or_draw(void)
{
    static const char *const words[] = {"must not use a parameter (w)", "must not assign a buffer",
                                        "must not use random numbers", ""};
    wg_params *set = wg_params_new(WG_F64);
    w = wg_param_new(set, "w", WG_DIMS(3), wg_init_constant(1));
    buffer = wg_buffer_new(set, "buffer", WG_DIMS(3), wg_init_zeros());
    wg_tape *tape = new_tape();
    for (deed = 0; deed < 4; deed++) {
        const wg_tensor x = wg_ones(tape, WG_F64, WG_DIMS(3)), y = wg_record(&op, &x, 1, NULL, 0);
        const wg_tensor dx = wg_grad1(wg_sum_all(y), x, WG_NONE);
        CHECK(wg_is_nil(dx) == (deed < 3));
        CHECK(wg_tape_reset(tape) == (deed < 3 ? WG_ERR_GRADIENT : WG_OK));
        if (deed < 3 && !strstr(wg_tape_message(tape), words[deed])) FAIL("%d: %s", deed, wg_tape_message(tape));
    }
    CHECK(((const double *)wg_param_value(buffer))[0] == 0);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* ---- descriptors ----------------------------------------------------------------------------------------------- */

static void descriptors_that_add_or_update(void)
{
    static const struct {
        wg_kind kind;
        unsigned flags;
        int min_in, max_in;
        const char *words;
    } rows[] = {{WG_KIND_GENERAL, WG_OP_ADDS_TO, 1, 1, "needs a general op with one optional operand"},
                {WG_KIND_POINTWISE, WG_OP_ADDS_TO, 1, 2, "needs a general op with one optional operand"},
                {WG_KIND_GENERAL, WG_OP_UPDATES, 1, 2, "needs a general op with a fixed number of operands"},
                {WG_KIND_GENERAL, WG_OP_UPDATES, 0, 0, "needs a general op with a fixed number of operands"},
                {WG_KIND_POINTWISE, WG_OP_UPDATES, 1, 1, "needs a general op with a fixed number of operands"},
                {WG_KIND_GENERAL, 0, -1, 1, "min_in must be 0 or more"},
                {WG_KIND_GENERAL, 0, 2, 1, "max_in not smaller"},
                {WG_KIND_POINTWISE, 0, 1, 5, "takes 1 to 4 operands"},
                {WG_KIND_POINTWISE, 0, 0, 1, "takes 1 to 4 operands"}};
    wg_tape *tape = new_tape();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_op bad = op;
        bad.kind = rows[i].kind;
        bad.flags = rows[i].flags;
        bad.min_in = rows[i].min_in;
        bad.max_in = rows[i].max_in;
        const wg_tensor x = wg_ones(tape, WG_F64, WG_DIMS(3));
        CHECK(wg_is_nil(wg_record(&bad, &x, 1, NULL, 0)) && wg_tape_reset(tape) == WG_ERR_ARGUMENT);
        if (!strstr(wg_tape_message(tape), rows[i].words)) FAIL("%zu: %s", i, wg_tape_message(tape));
    }
    wg_tape_free(tape);
}

/* ---- parameters ------------------------------------------------------------------------------------------------ */

static void sets_and_initial_values(void)
{
    wg_params *set = wg_params_new(WG_F64), *other = wg_params_new(WG_F64);
    wg_param *he = wg_param_new(set, "he", WG_DIMS(50, 200), wg_init_he());
    CHECK(!wg_param_tie(other, "tied", he) && strstr(wg_params_message(other), "he belongs to another set"));
    double sum = 0, squares = 0;
    const double *x = wg_param_value(he);
    for (int i = 0; i < 10000; i++) sum += x[i], squares += x[i] * x[i];
    CHECK(fabs(sum / 10000) < 0.005 && fabs(squares / 10000 - 2.0 / 200) < 0.0005); /* N(0, 2 / fan_in) */
    CHECK(!wg_param_new(set, "he", WG_DIMS(2), wg_init_zeros()) && strstr(wg_params_message(set), "already has"));
    wg_params_clear_error(set);
    CHECK(!wg_param_new(set, "", WG_DIMS(2), wg_init_zeros()) && strstr(wg_params_message(set), "is empty"));
    wg_params_clear_error(set);
    CHECK(!wg_param_new(set, NULL, WG_DIMS(2), wg_init_zeros()) && strstr(wg_params_message(set), "is empty"));
    wg_params_free(other);
    wg_params_free(set);
}

/* ---- dumps ----------------------------------------------------------------------------------------------------- */

static void scalars_are_in_the_graph(void)
{
    wg_tape *tape = new_tape();
    static char text[4096];
    const bool yes = true, no = false;
    wg_scalar(tape, WG_F32, 0.5), wg_scalar(tape, WG_F64, -2.25), wg_scalar(tape, WG_I32, 17);
    wg_data(tape, WG_BOOL, WG_SCALAR, &yes), wg_data(tape, WG_BOOL, WG_SCALAR, &no);
    FILE *out = fmemopen(text, sizeof text, "w");
    CHECK(wg_dump_graphviz(tape, out) == WG_OK);
    fclose(out);
    const char *const words[] = {"data 0.5", "data -2.25", "data 17", "data true", "data false"};
    for (int i = 0; i < 5; i++)
        if (!strstr(text, words[i])) FAIL("no \"%s\" in %s", words[i], text);
    CLOSE(tape);
}

static void dumps_that_cannot_be_written(void)
{
    wg_tape *tape = profiled_tape("");
    wg_tensor x = wg_ones(tape, WG_F64, WG_DIMS(4, 4)), y = wg_tanh(wg_matmul(x, x));
    wg_status (*const dumps[])(const wg_tape *, FILE *) = {wg_dump_text, wg_dump_graphviz, wg_dump_plan,
                                                           wg_dump_profile, wg_dump_trace};
    for (int run = 0; run < 2; run++) { /* before a run there is no plan and no profile */
        for (size_t i = 0; i < sizeof dumps / sizeof *dumps; i++) {
            FILE *full = fopen("/dev/full", "w"), *null = fopen("/dev/null", "w");
            setvbuf(full, NULL, _IONBF, 0);
            if (dumps[i](tape, full) != WG_ERR_IO || dumps[i](tape, null) != WG_OK)
                FAIL("dump %zu, run %d", i, run);
            fclose(full);
            fclose(null);
            CHECK(dumps[i](NULL, stderr) == WG_ERR_ARGUMENT && dumps[i](tape, NULL) == WG_ERR_ARGUMENT);
        }
        CHECK(wg_eval(&y, 1) == WG_OK);
    }
    CLOSE(tape);
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

#define REFUSED(call, expected, words)                                                                             \
    do {                                                                                                           \
        wg_error error = {0};                                                                                      \
        const wg_status status = (call);                                                                           \
        if (status != (expected) || !strstr(error.text, words))                                                    \
            FAIL("line %d: %d: %s", __LINE__, (int)status, error.text);                                            \
    } while (0)

static void names_of_files(void)
{
    static char path[6000];
    memset(path, 'a', sizeof path - 1);
    REFUSED(wg_file_write(NULL, "", 0, &error), WG_ERR_ARGUMENT, "no file name given");
    REFUSED(wg_file_write("", "", 0, &error), WG_ERR_ARGUMENT, "no file name given");
    REFUSED(wg_file_write(path, "", 0, &error), WG_ERR_IO, "file name is too long");
    path[300] = 0;
    REFUSED(wg_file_write(path, "", 0, &error), WG_ERR_IO, "cannot follow");
    REFUSED(wg_file_write("/dev/null/file", "", 0, &error), WG_ERR_IO, "cannot follow");
    REFUSED(wg_file_write("/nowhere/at/all", "", 0, &error), WG_ERR_IO, "cannot create");
    const wg_entry t = {.name = "t", .dtype = WG_F32, .shape = WG_SCALAR, .data = "1234"};
    const wg_pair keys[] = {{"\xff", "value"}, {NULL, "value"}, {"key", "\xff"}, {"key", NULL}};
    REFUSED(wg_safetensors_write(NULL, &t, 1, NULL, 0, &error), WG_ERR_ARGUMENT, "no file name given");
    for (int i = 0; i < 4; i++)
        REFUSED(wg_safetensors_write("/tmp/never", &t, 1, &keys[i], 1, &error), WG_ERR_ARGUMENT, "is not UTF-8");
    REFUSED(wg_safetensors_write("/tmp/never", &t, 1, keys, 1024, &error), WG_ERR_ARGUMENT, "more than 1023 keys");
}

static void checkpoints_without_numbers(void)
{
    static const char *const steps[] = {"12x", "", " 5", "+5", "99999999999999999999", "x"};
    char path[] = "/tmp/wengert-refusals-XXXXXX";
    const int fd = mkstemp(path);
    wg_params *set = wg_params_new(WG_F32);
    wg_checkpoint c = {.params = set, .step = 3};
    REFUSED(wg_checkpoint_save(path, NULL, &error), WG_ERR_ARGUMENT, "no parameters to save");
    REFUSED(wg_checkpoint_save(path, &(wg_checkpoint){0}, &error), WG_ERR_ARGUMENT, "no parameters to save");
    REFUSED(wg_checkpoint_save(NULL, &c, &error), WG_ERR_ARGUMENT, "no file name given");
    REFUSED(wg_checkpoint_load(NULL, &c, NULL, NULL, &error), WG_ERR_ARGUMENT, "no file or no parameters");
    for (int i = 0; i < 18; i++) {
        const char *const key = i % 3 == 0   ? "wengert.step"
                                : i % 3 == 1 ? "wengert.seed"
                                             : "wengert.optimizer_steps";
        CHECK(wg_safetensors_write(path, NULL, 0, &(wg_pair){key, steps[i / 3]}, 1, NULL) == WG_OK);
        wg_safetensors *file = wg_safetensors_open(path, NULL);
        REFUSED(wg_checkpoint_load(file, &c, NULL, NULL, &error), WG_ERR_FORMAT, "not an integer");
        REFUSED(wg_checkpoint_load(file, NULL, NULL, NULL, &error), WG_ERR_ARGUMENT, "no file or no parameters");
        CHECK(c.step == 3);
        wg_safetensors_close(file);
    }
    wg_early_stop stop = wg_early_stop_defaults();
    stop.best = 1;
    REFUSED(wg_early_stop_restore(&stop, &c, &error), WG_ERR_ARGUMENT, "no best checkpoint was saved");
    stop.path = "/nowhere/at/all";
    REFUSED(wg_early_stop_restore(&stop, &c, &error), WG_ERR_IO, "cannot open");
    wg_idx idx = {.type = WG_IDX_U8, .shape = WG_DIMS(2), .data = (uint8_t[]){1, 2}};
    CHECK(wg_idx_at(&idx, 1) == 2 && isnan(wg_idx_at(&idx, -1)) && isnan(wg_idx_at(&idx, 2)));
    idx.type = 0;
    CHECK(isnan(wg_idx_at(&idx, 1)) && isnan(wg_idx_at(&(wg_idx){0}, 0)));
    wg_idx_fini(NULL);
    wg_text_fini(NULL);
    const int64_t *samples;
    CHECK(wg_loader_batch(NULL, 0, &samples) == 0 && !samples && wg_loader_batches(NULL) == 0);
    wg_params_free(set);
    close(fd);
    remove(path);
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(rules_must_not_use_assign_or_draw), TEST_CASE(descriptors_that_add_or_update),
        TEST_CASE(sets_and_initial_values),           TEST_CASE(scalars_are_in_the_graph),
        TEST_CASE(dumps_that_cannot_be_written),      TEST_CASE(names_of_files),
        TEST_CASE(checkpoints_without_numbers)};
    return RUN_TESTS(tests);
}
