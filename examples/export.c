/* Models of the examples as ONNX files. */
#include "app.h"

#include <stdlib.h>

enum { MOST = 2 * WG_RNN_MAX_CELLS + 4 }; /* inputs, outputs */

static void record(const app_model *p, wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    p->record(p->context, tape, batch, x, y);
    if (wg_tape_status(tape) != WG_OK) app_fail("%s", wg_tape_message(tape));
}

/* The program is recorded twice, so that the batch size is symbolic. */
void app_export(const char *path, wg_tape *tape, const app_model *p)
{
    wg_tensor x[2][MOST], y[2][MOST];
    wg_onnx_named in[MOST], out[MOST];
    wg_error error = {0};
    if (p->n_in > MOST || p->n_out > MOST) app_fail("too many inputs or outputs to export");
    const bool training = wg_set_training(tape, false);
    wg_no_grad_begin(tape);
    for (int i = 0; i < 2; i++) record(p, tape, 2 + i, x[i], y[i]);
    for (int i = 0; i < p->n_in; i++) in[i] = (wg_onnx_named){p->inputs[i], x[0][i], x[1][i]};
    for (int i = 0; i < p->n_out; i++) out[i] = (wg_onnx_named){p->outputs[i], y[0][i], y[1][i]};
    if (wg_onnx_write(path, in, p->n_in, out, p->n_out, &error) != WG_OK) app_fail("%s", error.text);
    wg_no_grad_end(tape);
    app_end_step(tape);
    wg_set_training(tape, training);
}

wg_tensor app_export_data(wg_tape *tape, wg_dtype dtype, wg_shape shape)
{
    int64_t n = 0;
    wg_shape_numel(&shape, &n);
    void *zeros = app_room(n, wg_dtype_size(dtype));
    const wg_tensor x = wg_data(tape, dtype, shape, zeros);
    free(zeros);
    return x;
}
