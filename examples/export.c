/* Models of the examples as ONNX files. */
#include "app.h"

#include <stdlib.h>

enum { MOST = 2 * WG_RNN_MAX_CELLS + 4 }; /* inputs, outputs */

bool app_export_samples;
static uint64_t inputs; /* made since the recording began: no two have the same numbers */

static void record(const app_model *p, wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    inputs = 0;
    p->record(p->context, tape, batch, x, y);
    if (wg_tape_status(tape) != WG_OK) app_fail("%s", wg_tape_message(tape));
}

/* The program is recorded twice, so that the batch size is symbolic. */
static void write_model(const char *path, wg_tape *tape, const app_model *p)
{
    wg_tensor x[2][MOST], y[2][MOST];
    wg_onnx_named in[MOST], out[MOST];
    wg_error error = {0};
    for (int i = 0; i < 2; i++) record(p, tape, 2 + i, x[i], y[i]);
    for (int i = 0; i < p->n_in; i++) in[i] = (wg_onnx_named){p->inputs[i], x[0][i], x[1][i]};
    for (int i = 0; i < p->n_out; i++) out[i] = (wg_onnx_named){p->outputs[i], y[0][i], y[1][i]};
    if (wg_onnx_write(path, in, p->n_in, out, p->n_out, &error) != WG_OK) app_fail("%s", error.text);
    app_end_step(tape);
}

/* The inputs and outputs of a batch, under their names. */
static void write_sample(const char *path, wg_tape *tape, const app_model *p, int64_t batch)
{
    wg_tensor all[2 * MOST];
    wg_entry entry[2 * MOST];
    wg_error error = {0};
    char name[4096];
    const int n = p->n_in + p->n_out;
    if (snprintf(name, sizeof name, "%s.%lld.npz", path, (long long)batch) >= (int)sizeof name)
        app_fail("--export: the path is too long");
    record(p, tape, batch, all, all + p->n_in);
    if (wg_eval(all, n) != WG_OK) app_fail("%s", wg_tape_message(tape));
    for (int i = 0; i < n; i++)
        entry[i] = (wg_entry){.name = i < p->n_in ? p->inputs[i] : p->outputs[i - p->n_in],
                              .dtype = wg_dtype_get(all[i]),
                              .shape = wg_shape_get(all[i]),
                              .data = wg_value(all[i])};
    if (wg_npz_write(name, entry, (size_t)n, &error) != WG_OK) app_fail("%s", error.text);
    app_end_step(tape);
}

void app_export(const char *path, wg_tape *tape, const app_model *p)
{
    if (p->n_in > MOST || p->n_out > MOST) app_fail("too many inputs or outputs to export");
    const bool training = wg_set_training(tape, false);
    wg_no_grad_begin(tape);
    write_model(path, tape, p);
    for (int64_t batch = 2; app_export_samples && batch <= 5; batch += 3) write_sample(path, tape, p, batch);
    wg_no_grad_end(tape);
    wg_set_training(tape, training);
}

wg_tensor app_export_floats(wg_tape *tape, wg_shape shape)
{
    int64_t n = 0;
    wg_shape_numel(&shape, &n);
    float *numbers = app_room(n, sizeof *numbers);
    for (int64_t i = 0; i < n; i++) numbers[i] = (float)((double)app_random(1, inputs, (uint64_t)i) * 0x1p-63 - 1);
    inputs++;
    const wg_tensor x = wg_data(tape, WG_F32, shape, numbers);
    free(numbers);
    return x;
}

wg_tensor app_export_integers(wg_tape *tape, wg_shape shape, int64_t low, int64_t high)
{
    int64_t n = 0;
    wg_shape_numel(&shape, &n);
    int32_t *numbers = app_room(n, sizeof *numbers);
    for (int64_t i = 0; i < n; i++)
        numbers[i] = (int32_t)(low + (int64_t)(app_random(1, inputs, (uint64_t)i) % (uint64_t)(high - low + 1)));
    inputs++;
    const wg_tensor x = wg_data(tape, WG_I32, shape, numbers);
    free(numbers);
    return x;
}

wg_tensor app_export_tokens(wg_tape *tape, wg_shape shape, const wg_embedding_layer *embedding)
{
    return app_export_integers(tape, shape, 0, wg_param_shape(embedding->weight).size[0] - 1);
}
