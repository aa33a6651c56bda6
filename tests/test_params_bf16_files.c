/* Parameters stored in bf16: files, what is written and loaded, and that loading takes no memory of the set; what is
 * refused of such a set. */
#include "bf16_number.h"
#include "tensors.h"

#include <unistd.h>

static wg_params *set_new(wg_dtype dtype)
{
    wg_params *set = wg_params_new(dtype);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(3, SPECIALS), wg_init_normal(0, 1));
    wg_param_tie(set, "tied", w);
    wg_buffer_new(set, "state", WG_DIMS(5), wg_init_constant(1.0 / 3));
    return set;
}

static wg_safetensors *saved(wg_params *set, const char *path, wg_dtype as)
{
    wg_error error = {0};
    const wg_checkpoint c = {.params = set, .saved_as = as};
    if (wg_checkpoint_save(path, &c, &error) != WG_OK) FAIL("%s", error.text);
    wg_safetensors *file = wg_safetensors_open(path, &error);
    CHECK(file);
    return file;
}

static void load(wg_params *set, const wg_safetensors *file)
{
    wg_error error = {0};
    wg_checkpoint c = {.params = set};
    const size_t before = wg_params_memory(set).peak;
    if (wg_checkpoint_load(file, &c, NULL, NULL, &error) != WG_OK) FAIL("%s", error.text);
    CHECK(wg_params_memory(set).peak == before);
}

static void files_round_trip(void)
{
    char path[] = "/tmp/wengert-bf16-XXXXXX";
    const int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    wg_params *f32 = set_new(WG_F32);
    float *x = wg_param_write_begin(wg_param_find(f32, "w"));
    memcpy(x, specials, sizeof specials);
    wg_param_write_end(wg_param_find(f32, "w"));
    for (int rounded_by_writer = 0; rounded_by_writer < 2; rounded_by_writer++) {
        wg_safetensors *file = saved(f32, path, rounded_by_writer ? WG_BF16 : WG_F32);
        wg_params *bf16 = set_new(WG_BF16), *again = set_new(WG_BF16), *back = set_new(WG_F32);
        load(bf16, file);
        wg_safetensors_close(file);
        const uint16_t *y = wg_param_value(wg_param_find(bf16, "w"));
        for (int i = 0; i < 3 * SPECIALS; i++) CHECK(y[i] == nearest(x[i]));
        for (int as = 0; as < 2; as++) { /* as they are, which is BF16 */
            file = saved(bf16, path, as ? WG_BF16 : WG_F32);
            wg_entry e;
            CHECK(wg_safetensors_find(file, "tied", &e) && e.dtype == WG_BF16 && e.bytes == 6 * SPECIALS);
            CHECK(wg_safetensors_find(file, "state", &e) && e.dtype == WG_F32);
            load(again, file);
            load(back, file);
            wg_safetensors_close(file);
            CHECK(memcmp(wg_param_value(wg_param_find(again, "w")), y, 6 * SPECIALS) == 0);
            const float *z = wg_param_value(wg_param_find(back, "w"));
            for (int i = 0; i < 3 * SPECIALS; i++) {
                const float want = wide(y[i]);
                CHECK(memcmp(&z[i], &want, sizeof want) == 0 || isnan(want));
            }
        }
        wg_params_free(bf16), wg_params_free(again), wg_params_free(back);
    }
    wg_params_free(f32);
    unlink(path);
}

/* F64: by way of f32, and what does not fit f32 is a difference; integers are one. */
static void other_types_in_files(void)
{
    char path[] = "/tmp/wengert-bf16-XXXXXX";
    close(mkstemp(path));
    const double numbers[] = {1.0 / 3, -2.5}, large[] = {1, 1e300};
    const int32_t whole[] = {1, 2};
    const wg_entry entries[] = {{.name = "p", .dtype = WG_F64, .shape = WG_DIMS(2), .data = numbers},
                                {.name = "p", .dtype = WG_F64, .shape = WG_DIMS(2), .data = large},
                                {.name = "p", .dtype = WG_I32, .shape = WG_DIMS(2), .data = whole}};
    static const char *const messages[] = {NULL, "do not fit f32", "is I32 in the file, bf16 in the model"};
    for (int i = 0; i < 3; i++) {
        wg_error error = {0};
        wg_params *set = wg_params_new(WG_BF16);
        wg_param *p = wg_param_new(set, "p", WG_DIMS(2), wg_init_zeros());
        CHECK(wg_safetensors_write(path, &entries[i], 1, NULL, 0, &error) == WG_OK);
        wg_safetensors *file = wg_safetensors_open(path, &error);
        wg_checkpoint c = {.params = set};
        const wg_status status = wg_checkpoint_load(file, &c, NULL, NULL, &error);
        CHECK(status == (messages[i] ? WG_ERR_FORMAT : WG_OK));
        if (messages[i]) CHECK(strstr(error.text, messages[i]));
        const uint16_t *y = wg_param_value(p);
        CHECK(messages[i] ? y[0] == 0 : y[0] == nearest(1.0f / 3) && y[1] == nearest(-2.5f));
        wg_safetensors_close(file);
        wg_params_free(set);
    }
    unlink(path);
}

/* ---- refusals ---- */

static void training_is_refused(void)
{
    wg_params *set = wg_params_new(WG_BF16);
    wg_param *w = wg_param_new(set, "layer.w", WG_DIMS(4, 4), wg_init_normal(0, 1));
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    CHECK(wg_backward(wg_sum_all(wg_square(wg_use(tape, w)))) == WG_ERR_GRADIENT);
    CHECK(!strcmp(wg_tape_message(tape), "parameter layer.w is stored in bf16 and has no gradient: train a "
                                         "set of f32, or freeze it"));
    CHECK(wg_tape_reset(tape) == WG_ERR_GRADIENT);
    CHECK(wg_backward_into(wg_sum_all(wg_use(tape, w)), &w, 1) == WG_ERR_GRADIENT);
    CHECK(wg_tape_reset(tape) == WG_ERR_GRADIENT);
    const wg_tensor use = wg_use(tape, w);
    CHECK(wg_is_nil(wg_grad1(wg_sum_all(use), use, WG_NONE)));
    CHECK(strstr(wg_tape_message(tape), "grad") && strstr(wg_tape_message(tape), "tensor 1 is stored in bf16"));
    CHECK(wg_tape_reset(tape) == WG_ERR_GRADIENT);
    wg_no_grad_begin(tape); /* a teacher, say, beside what is trained */
    const wg_tensor fixed = wg_square(wg_use(tape, w));
    wg_no_grad_end(tape);
    wg_params *other = wg_params_new(WG_F32);
    wg_param *v = wg_param_new(other, "v", WG_DIMS(4, 4), wg_init_normal(0, 1));
    CHECK(wg_backward(wg_sum_all(wg_mul(fixed, wg_use(tape, v)))) == WG_OK);
    CHECK(wg_param_grad(w) == NULL && wg_param_grad_write_begin(w) == NULL);
    wg_param_grad_write_end(w);
    wg_zero_grad(set);
    CHECK(wg_params_trainable(set) == 0);
    wg_optimizer *adam = wg_adam_new(set, wg_adam_defaults());
    CHECK(wg_optimizer_step(adam) == WG_ERR_ARGUMENT);
    CHECK(!strcmp(wg_optimizer_message(adam), "adam: parameters in bf16 are not trained: use a set of f32"));
    double norm = 1;
    CHECK(wg_clip_grad_norm(set, 1, &norm) == WG_OK && norm == 0);
    wg_optimizer_free(adam);
    CHECK(wg_average_new(set, 0.9) == NULL && wg_params_status(set) == WG_ERR_ARGUMENT);
    CHECK(strstr(wg_params_message(set), "average: parameters in bf16 are not trained"));
    wg_tape_free(tape);
    wg_params_free(set), wg_params_free(other);
}

static void other_dtypes_are_refused(void)
{
    static const int wrong[] = {WG_I32, WG_BOOL, WG_INT8, WG_DTYPES, 99, -1};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) CHECK(wg_params_new((wg_dtype)wrong[i]) == NULL);
    wg_params *set = wg_params_new(WG_BF16);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(4, 4), wg_init_normal(0, 1));
    wg_buffer *state = wg_buffer_new(set, "state", WG_DIMS(4, 4), wg_init_zeros());
    CHECK(wg_param_dtype(state) == WG_F32);
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    CHECK(wg_is_nil(wg_matmul(wg_ones(tape, WG_F64, WG_DIMS(2, 4)), wg_use(tape, w))));
    CHECK(wg_tape_reset(tape) == WG_ERR_DTYPE);
    CHECK(wg_is_nil(wg_zeros(tape, WG_BF16, WG_DIMS(2))) && wg_tape_reset(tape) == WG_ERR_DTYPE);
    CHECK(wg_is_nil(wg_cast(wg_use(tape, w), WG_BF16)) && wg_tape_reset(tape) == WG_ERR_DTYPE);
    wg_assign(state, wg_use(tape, w)); /* f32, as the buffer */
    CHECK(wg_eval((wg_tensor[]){wg_use(tape, w)}, 1) == WG_OK);
    CHECK(((const float *)wg_param_value(state))[5] == wide(((const uint16_t *)wg_param_value(w))[5]));
    CHECK(wg_tape_reset(tape) == WG_OK);
    const wg_tensor early = wg_use(tape, w); /* written after its use: as for other parameters */
    wg_param_write_begin(w);
    wg_param_write_end(w);
    CHECK(wg_eval(&early, 1) == WG_ERR_CHANGED);
    wg_tape_free(tape);
    wg_params_free(set);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(files_round_trip), TEST_CASE(other_types_in_files),
                                 TEST_CASE(training_is_refused), TEST_CASE(other_dtypes_are_refused)};
    return RUN_TESTS(tests);
}
