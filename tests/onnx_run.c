/* Runs tests of the ONNX project. Lines of standard input are tasks, with tabs in between:
 *
 *     MODEL FOLDER RTOL ATOL
 *
 * FOLDER has input_0.pb, ..., output_0.pb, ...: TensorProto messages. For each task prints a line: "passed", "refused"
 * and the reason, by wg_onnx_open, "late" and the reason, by wg_onnx_apply or the run, or "FAILED" and what differs.
 * Models are f32, or f64 if an input is; --f64: all. --gradients: the derivatives by all inputs of floats are compared
 * with differences, in f64, and "none" is printed if there are no such inputs. --faults: opens and records each model
 * with every request to an arena failing in turn, which must be an error that says so, and compares nothing.
 * --autograd: the derivatives of the loss (see loss_of) by all inputs of floats, as "input_K", and by all parameters,
 * under their names, are written to FOLDER/gradients.npz, and nothing is compared. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../onnx/internal.h"
#include "sanitized.h"
#include "wengert.h"

enum { MOST = 64 };

typedef struct task {
    wg_onnx *model;
    wg_tape *tape;
    wg__heap heap;
    wg__arena arena;
    wg__folder folders[2 * MOST]; /* of one file each */
    int n_folders;
    double rtol, atol;
    char result[512];
} task;

static wg_dtype always = WG_F32; /* of models without a double */
static wg_dtype real;            /* of the present one */
static bool gradients, faults, autograd;

/* Reads FOLDER/NAME_INDEX.pb. */
static bool read_tensor(task *t, const char *folder, const char *name, size_t index, wg__tensor_data *tensor)
{
    char path[1024];
    wg_error error = {0};
    wg__span bytes;
    snprintf(path, sizeof path, "%s/%s_%zu.pb", folder, name, index);
    FILE *file = fopen(path, "rb");
    const bool empty = file && fgetc(file) == EOF; /* of an empty message: no tensor */
    if (file) fclose(file);
    if (!file || empty || t->n_folders == 2 * MOST) return false;
    wg__folder *held = &t->folders[t->n_folders++];
    if (wg__folder_open(held, &t->arena, path, &bytes, &error) && wg__tensor_parse(bytes, held, tensor, &error))
        return true;
    snprintf(t->result, sizeof t->result, "FAILED: %s", error.text);
    return false;
}

/* Old test data has the bits of a bfloat16 as an uint16. */
static void as_declared(wg__tensor_data *tensor, const char *type)
{
    if (tensor->type == WG__UINT16 && strcmp(type, "bfloat16") == 0) tensor->type = WG__BFLOAT16;
}

static wg_tensor input_of(task *t, const wg__tensor_data *tensor)
{
    wg__arena arena = {.heap = &t->heap};
    wg__call c = {.model = t->model, .tape = t->tape, .arena = &arena};
    double *numbers = malloc(sizeof *numbers * ((size_t)tensor->numel + 1));
    wg__numbers from = wg__numbers_of(tensor);
    for (int64_t i = 0; i < tensor->numel; i++) numbers[i] = wg__number_next(&from);
    const wg_tensor x = wg__data_of(&c, tensor->shape, numbers, tensor->type);
    free(numbers);
    wg__arena_release(&arena);
    return x;
}

static double element(const void *value, wg_dtype dtype, int64_t i)
{
    switch (dtype) {
    case WG_F32: return (double)((const float *)value)[i];
    case WG_F64: return ((const double *)value)[i];
    case WG_I32: return ((const int32_t *)value)[i];
    default: return ((const uint8_t *)value)[i];
    }
}

static bool close_enough(const task *t, double got, double want, int type)
{
    if (isnan(want)) return isnan(got);
    if (got == want) return true;
    if (!wg__type_is_float(type)) return false;
    const double rounding = type == WG__BFLOAT16 ? 1 / 64.0 : type == WG__FLOAT16 ? 1 / 512.0 : 0;
    if (isinf(want) && rounding > 0) return got * want > 0 && fabs(got) > 65504; /* it is wider here */
    return fabs(got - want) <= t->atol + (t->rtol + rounding) * fabs(want);
}

static void compare(task *t, size_t k, wg_tensor y, const wg__tensor_data *want)
{
    const wg_shape shape = wg_shape_get(y);
    const void *value = wg_value(y);
    char a[128], b[128];
    if (!value) {
        snprintf(t->result, sizeof t->result, "late: %s", wg_tape_message(t->tape));
        return;
    }
    if (!wg_shape_equal(&shape, &want->shape)) {
        snprintf(t->result, sizeof t->result, "FAILED: output %zu is %s, not %s", k,
                 wg_shape_text(&shape, a, sizeof a), wg_shape_text(&want->shape, b, sizeof b));
        return;
    }
    wg__numbers from = wg__numbers_of(want);
    for (int64_t i = 0; i < want->numel; i++) {
        const double got = element(value, wg_dtype_get(y), i), number = wg__number_next(&from);
        if (close_enough(t, got, number, want->type)) continue;
        snprintf(t->result, sizeof t->result, "FAILED: output %zu, element %lld of %s is %.9g, not %.9g", k,
                 (long long)i, wg_shape_text(&shape, a, sizeof a), got, number);
        return;
    }
}

static void run_model(task *t, const char *folder)
{
    const size_t n_in = wg_onnx_input_count(t->model), n_out = wg_onnx_output_count(t->model);
    wg_tensor x[MOST], y[MOST];
    wg__tensor_data tensor;
    if (n_in > MOST || n_out > MOST) {
        snprintf(t->result, sizeof t->result, "FAILED: %zu inputs, %zu outputs", n_in, n_out);
        return;
    }
    for (size_t k = 0; k < n_in; k++) {
        if (!read_tensor(t, folder, "input", k, &tensor)) {
            if (!*t->result) snprintf(t->result, sizeof t->result, "FAILED: no input %zu", k);
            return;
        }
        as_declared(&tensor, wg_onnx_input(t->model, k).type);
        x[k] = input_of(t, &tensor);
    }
    if (wg_onnx_apply(t->model, t->tape, x, (int)n_in, y, (int)n_out) != WG_OK) {
        snprintf(t->result, sizeof t->result, "late: %s", wg_tape_message(t->tape));
        return;
    }
    if (wg_eval(y, (int)n_out) != WG_OK) {
        snprintf(t->result, sizeof t->result, "late: %s", wg_tape_message(t->tape));
        return;
    }
    for (size_t k = 0; k < n_out && !*t->result; k++) {
        if (read_tensor(t, folder, "output", k, &tensor)) {
            as_declared(&tensor, wg_onnx_output(t->model, k).type);
            compare(t, k, y[k], &tensor);
        } else if (!*t->result)
            snprintf(t->result, sizeof t->result, "FAILED: no output %zu", k);
    }
}

/* ---- gradients ---- */

/* The model's inputs of floats are parameters, all others data. */
typedef struct checked {
    task *t;
    wg__tensor_data input[MOST];
    wg_param *param[MOST];
} checked;

/* The sum over all results of mean(result . weights), with weights of all sizes and signs. */
static wg_tensor loss_of(void *context, wg_tape *tape, wg_params *set)
{
    checked *c = context;
    const size_t n_in = wg_onnx_input_count(c->t->model), n_out = wg_onnx_output_count(c->t->model);
    wg_tensor x[MOST], y[MOST], loss = wg_scalar(tape, real, 0);
    for (size_t k = 0; k < n_in; k++) x[k] = c->param[k] ? wg_use(tape, c->param[k]) : input_of(c->t, &c->input[k]);
    wg_onnx_apply(c->t->model, tape, x, (int)n_in, y, (int)n_out);
    for (size_t k = 0; k < n_out; k++) {
        const int64_t n = wg_numel(y[k]);
        if (wg_dtype_get(y[k]) != real || n == 0) continue;
        const wg_tensor weights = wg_cast(wg_add_scalar(wg_cos(wg_arange(tape, WG_F64, 1, 1.7, n)), 0.3), real);
        const wg_tensor flat = wg_reshape(y[k], WG_DIMS(n)), zero = wg_scalar(tape, real, 0);
        loss = wg_add(loss, wg_mean_all(wg_mul(wg_where(wg_is_finite(flat), flat, zero), weights)));
    }
    return loss;
}

/* Moves numbers off kinks, jumps and ties, where there is no derivative; makes them finite. */
static void shift(const wg__tensor_data *tensor, double *out)
{
    for (int64_t i = 0; i < tensor->numel; i++) {
        if (!isfinite(out[i])) out[i] = 0.7;
        if (out[i] > 0.95 && out[i] < 1) out[i] -= 0.05; /* the ends of domains are 1 */
        out[i] += 0.011 * (1.5 + cos(1.3 * (double)i));
    }
}

/* The model's inputs; those of floats are members of the set. False if none has elements. */
static bool take_inputs(checked *c, const char *folder, wg_params *set)
{
    const size_t n_in = wg_onnx_input_count(c->t->model);
    bool any = false;
    for (size_t k = 0; k < n_in && k < MOST; k++) {
        char name[32];
        snprintf(name, sizeof name, "input_%zu", k);
        if (!read_tensor(c->t, folder, "input", k, &c->input[k])) break;
        const wg_onnx_value v = wg_onnx_input(c->t->model, k);
        if (v.dtype != real || v.known_while_recording) continue;
        c->param[k] = wg_param_new(set, name, c->input[k].shape, wg_init_zeros());
        void *numbers = wg_param_write_begin(c->param[k]);
        wg__tensor_copy(&c->input[k], real, numbers);
        if (gradients) shift(&c->input[k], numbers);
        wg_param_write_end(c->param[k]);
        any = any || c->input[k].numel > 0;
    }
    return any;
}

static void check_gradients(task *t, const char *folder)
{
    checked c = {.t = t};
    wg_params *set = wg_params_new(WG_F64);
    const bool any = take_inputs(&c, folder, set);
    wg_gradcheck_options options = wg_gradcheck_defaults();
    options.rtol = 1e-4;
    options.atol = 1e-6;
    const wg_verdict v = any ? wg_gradcheck(t->tape, set, loss_of, &c, options) : (wg_verdict){.ok = true};
    if (!v.ok) snprintf(t->result, sizeof t->result, "FAILED: gradient: %s", v.text);
    if (!any) snprintf(t->result, sizeof t->result, "none: no input of floats");
    wg_params_free(set);
}

/* ---- derivatives for others to compare ---- */

static size_t add_entries(wg_params *set, wg_entry *entry, size_t n)
{
    for (size_t i = 0; i < wg_params_count(set); i++) {
        const wg_param *p = wg_params_at(set, i);
        if (wg_param_is_buffer(p)) continue;
        entry[n++] = (wg_entry){
            .name = wg_param_name(p), .dtype = real, .shape = wg_param_shape(p), .data = wg_param_grad(p)};
    }
    return n;
}

static void write_gradients(task *t, const char *folder)
{
    checked c = {.t = t};
    wg_params *inputs = wg_params_new(real), *params = wg_onnx_params(t->model);
    char path[1024];
    wg_error error = {0};
    take_inputs(&c, folder, inputs);
    wg_entry *entry = calloc(wg_params_count(inputs) + wg_params_count(params) + 1, sizeof *entry);
    const wg_tensor loss = loss_of(&c, t->tape, inputs);
    snprintf(path, sizeof path, "%s/gradients.npz", folder);
    if (wg_backward(loss) != WG_OK)
        snprintf(t->result, sizeof t->result, "FAILED: %s", wg_tape_message(t->tape));
    else if (wg_npz_write(path, entry, add_entries(params, entry, add_entries(inputs, entry, 0)), &error) != WG_OK)
        snprintf(t->result, sizeof t->result, "FAILED: %s", error.text);
    free(entry);
    (void)wg_tape_reset(t->tape);
    wg_params_free(inputs);
}

/* ---- requests for memory that fail ---- */

static int64_t requests, failing = -1; /* the number of the one that fails; -1: none */
static bool armed;

static bool fails_now(void) { return armed && requests++ == failing; }

void *__real_wg__arena_alloc(wg__arena *arena, size_t size, size_t align);
void *__wrap_wg__arena_alloc(wg__arena *arena, size_t size, size_t align);
void *__wrap_wg__arena_alloc(wg__arena *arena, size_t size, size_t align)
{
    return fails_now() ? NULL : __real_wg__arena_alloc(arena, size, align);
}

void *__real_wg__arena_array(wg__arena *arena, uint64_t n, size_t size);
void *__wrap_wg__arena_array(wg__arena *arena, uint64_t n, size_t size);
void *__wrap_wg__arena_array(wg__arena *arena, uint64_t n, size_t size)
{
    return fails_now() ? NULL : __real_wg__arena_array(arena, n, size);
}

/* Opens and records the model while a request fails. Returns what the outcome is, the text if it is an error. */
static wg_status record_with_fault(task *t, const char *path, const char *folder, wg_error *error)
{
    wg_tensor x[MOST], y[MOST];
    wg__tensor_data tensor;
    requests = 0;
    armed = true;
    t->model = wg_onnx_open(path, error);
    armed = false;
    if (!t->model) return error->status;
    const size_t n_in = wg_onnx_input_count(t->model), n_out = wg_onnx_output_count(t->model);
    for (size_t k = 0; k < n_in && k < MOST; k++) {
        if (!read_tensor(t, folder, "input", k, &tensor)) return wg_error_set(error, WG_ERR_IO, "no input %zu", k);
        as_declared(&tensor, wg_onnx_input(t->model, k).type);
        x[k] = input_of(t, &tensor);
        wg__folder_close(&t->folders[--t->n_folders]);
    }
    armed = true;
    const wg_status status = wg_onnx_apply(t->model, t->tape, x, (int)n_in, y, (int)(n_out < MOST ? n_out : MOST));
    armed = false;
    if (status != WG_OK) wg_error_set(error, status, "%s", wg_tape_message(t->tape));
    return status;
}

static void check_faults(task *t, const char *path, const char *folder)
{
    real = WG_F32;
    for (failing = 0; !*t->result; failing += SANITIZED ? 3 : 1) {
        wg_error error = {0};
        const wg_status status = record_with_fault(t, path, folder, &error);
        const bool all = requests <= failing;
        wg_onnx_free(t->model);
        t->model = NULL;
        wg__arena_release(&t->arena);
        (void)wg_tape_reset(t->tape);
        if (all && status != WG_OK) snprintf(t->result, sizeof t->result, "refused: %s", error.text);
        if (all) break;
        if (status != WG_OK && (status != WG_ERR_MEMORY || !strstr(error.text, "out of memory")))
            snprintf(t->result, sizeof t->result, "FAILED: request %lld: %s", (long long)failing, error.text);
    }
}

/* ---- tasks ---- */

/* In f64 if one of its inputs is. */
static wg_onnx *open_model(const char *path, wg_error *error)
{
    wg_onnx_options options = wg_onnx_defaults();
    options.dtype = real = always;
    wg_onnx *model = wg_onnx_open_with(path, options, error);
    for (size_t k = 0; k < wg_onnx_input_count(model); k++)
        if (strcmp(wg_onnx_input(model, k).type, "double") == 0) real = WG_F64;
    if (!model || real == always) return model;
    wg_onnx_free(model);
    options.dtype = real;
    return wg_onnx_open_with(path, options, error);
}

static void run_task(const char *path, const char *folder, double rtol, double atol)
{
    static task t;
    wg_error error = {0};
    t = (task){.rtol = rtol, .atol = atol};
    t.arena = (wg__arena){.heap = &t.heap, .most = 1 << 12};
    t.model = faults ? NULL : open_model(path, &error);
    t.tape = wg_tape_new(wg_tape_defaults());
    wg_set_training(t.tape, false);
    if (faults)
        check_faults(&t, path, folder);
    else if (t.model && gradients)
        check_gradients(&t, folder);
    else if (t.model && autograd)
        write_gradients(&t, folder);
    else if (t.model)
        run_model(&t, folder);
    else
        snprintf(t.result, sizeof t.result, "refused: %s", error.text);
    printf("%s\n", *t.result ? t.result : "passed");
    fflush(stdout);
    wg_tape_free(t.tape);
    wg_onnx_free(t.model);
    for (int i = 0; i < t.n_folders; i++) wg__folder_close(&t.folders[i]);
    wg__arena_release(&t.arena);
}

int main(int argc, char **argv)
{
    char line[4096];
    for (int i = 1; i < argc; i++) {
        gradients |= strcmp(argv[i], "--gradients") == 0;
        faults |= strcmp(argv[i], "--faults") == 0;
        autograd |= strcmp(argv[i], "--autograd") == 0;
        if (gradients || strcmp(argv[i], "--f64") == 0) always = WG_F64;
    }
    while (fgets(line, sizeof line, stdin)) {
        char *save, *path = strtok_r(line, "\t", &save), *folder = strtok_r(NULL, "\t", &save);
        const char *rtol = strtok_r(NULL, "\t", &save), *atol = strtok_r(NULL, "\t\n", &save);
        if (!path || !folder || !rtol || !atol) return fprintf(stderr, "onnx_run: not a task\n"), 2;
        run_task(path, folder, atof(rtol), atof(atol));
    }
    return 0;
}
