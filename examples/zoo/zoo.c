/* Parts of the zoo's programs. */
#include "zoo.h"

#include "models.h"

#include <stdlib.h>

enum { MOST = 8, SLOWEST = 1000 }; /* inputs, outputs; samples a second */

void zoo_open(zoo *z, const char *file, int inputs, int outputs, bool train_constants)
{
    wg_error error = {0};
    wg_onnx_options options = wg_onnx_defaults();
    options.train_constants = train_constants;
    z->path = models_path(z->folder, file);
    z->model = wg_onnx_open_with(z->path, options, &error);
    if (!z->model && error.status == WG_ERR_IO) app_fail("%s (examples/zoo/fetch.py gets the models)", error.text);
    if (!z->model) app_fail("%s", error.text);
    const size_t in = wg_onnx_input_count(z->model), out = wg_onnx_output_count(z->model);
    if (in != (size_t)inputs || out < (size_t)outputs || out > MOST)
        app_fail("%s: has %zu inputs and %zu outputs, not %d and %d to %d", z->path, in, out, inputs, outputs,
                 MOST);
    z->tape = app_tape_new(z->threads, 0, NULL, &z->pool);
    wg_set_training(z->tape, false);
}

void zoo_close(zoo *z)
{
    wg_onnx_free(z->model);
    wg_tape_free(z->tape);
    wg_pool_free(z->pool);
    free(z->path);
}

void zoo_record(const zoo *z, wg_tape *tape, const wg_tensor *inputs, wg_tensor *outputs, int n)
{
    if (wg_onnx_apply(z->model, tape, inputs, (int)wg_onnx_input_count(z->model), outputs, n) != WG_OK)
        app_fail("%s", wg_tape_message(tape));
}

void zoo_apply(const zoo *z, wg_tape *tape, const wg_entry *inputs, wg_tensor *outputs, int n)
{
    wg_tensor x[MOST];
    for (size_t i = 0; i < wg_onnx_input_count(z->model); i++)
        x[i] = wg_data(tape, inputs[i].dtype, inputs[i].shape, inputs[i].data);
    zoo_record(z, tape, x, outputs, n);
}

void zoo_eval(const zoo *z, const wg_tensor *tensors, int n)
{
    if (wg_eval(tensors, n) != WG_OK) app_fail("%s", wg_tape_message(z->tape));
}

void zoo_run(const zoo *z, const wg_entry *inputs, wg_tensor *outputs, int n)
{
    wg_no_grad_begin(z->tape);
    zoo_apply(z, z->tape, inputs, outputs, n);
    wg_no_grad_end(z->tape);
    zoo_eval(z, outputs, n);
}

const float *zoo_floats(const zoo *z, wg_tensor tensor, wg_shape shape)
{
    const wg_shape is = wg_shape_get(tensor);
    const wg_dtype dtype = wg_dtype_get(tensor);
    char text[2][128];
    if (wg_tape_status(z->tape) == WG_OK && (dtype != WG_F32 || !wg_shape_equal(&is, &shape)))
        app_fail("%s: computes %s %s instead of f32 %s", z->path, wg_dtype_name(dtype),
                 wg_shape_text(&is, text[0], sizeof text[0]), wg_shape_text(&shape, text[1], sizeof text[1]));
    const float *numbers = wg_value(tensor);
    if (!numbers) app_fail("%s", wg_tape_message(z->tape));
    return numbers;
}

/* ---- for check.py ---- */

typedef struct served {
    const zoo *z;
    const wg_entry *inputs;
} served;

static void run_again(void *context)
{
    const served *s = context;
    wg_tensor y[MOST];
    zoo_run(s->z, s->inputs, y, (int)wg_onnx_output_count(s->z->model));
    app_end_step(s->z->tape);
}

void zoo_check(const zoo *z, const wg_entry *inputs)
{
    const size_t n = wg_onnx_output_count(z->model);
    wg_tensor y[MOST];
    zoo_run(z, inputs, y, (int)n);
    for (size_t i = 0; i < wg_onnx_input_count(z->model); i++) models_write(z->check, "in", i, &inputs[i]);
    for (size_t i = 0; i < n; i++)
        models_write(z->check, "out", i,
                     &(wg_entry){.dtype = wg_dtype_get(y[i]), .shape = wg_shape_get(y[i]), .data = wg_value(y[i])});
    app_end_step(z->tape);
    models_serve(run_again, &(served){z, inputs});
}

/* ---- tuning ---- */

void zoo_tune(const zoo *z, wg_tensor (*loss)(void *context, const wg_fit_batch *batch), void *context,
              int64_t samples, int64_t batch, double lr)
{
    wg_adam_options adam = wg_adam_defaults();
    adam.lr = lr;
    wg_fit_options fit = wg_fit_defaults();
    fit.params = wg_onnx_params(z->model), fit.optimizer = wg_adam_new(fit.params, adam);
    fit.loss = loss, fit.context = context;
    fit.samples = samples, fit.batch = batch, fit.steps = z->steps, fit.clip = 1;
    wg_signal_catch();
    app_fit(fit, z->tape, (wg_progress){.unit = "samples", .units = (double)batch});
    wg_optimizer_free(fit.optimizer);
    wg_set_training(z->tape, false);
}

/* ---- sound ---- */

float *zoo_sound(const char *path, int64_t rate, int64_t *frames)
{
    wg_sound sound;
    wg_error error = {0};
    if (wg_sound_read(path, 0, &sound, &error) != WG_OK) app_fail("%s", error.text);
    if (sound.frames < 1) app_fail("%s: has no samples", path);
    if (sound.rate < SLOWEST)
        app_fail("%s: %lld samples a second are too few: %d or more", path, (long long)sound.rate, SLOWEST);
    const double step = (double)sound.rate / (double)rate;
    *frames = (int64_t)((double)(sound.frames - 1) / step) + 1;
    float *out = app_room(*frames, sizeof *out);
    for (int64_t i = 0; i < *frames; i++) {
        const double at = (double)i * step;
        const int64_t left = (int64_t)at < sound.frames - 2 ? (int64_t)at : sound.frames > 1 ? sound.frames - 2 : 0;
        const float part = (float)(at - (double)left);
        for (int64_t c = 0; c < sound.channels; c++) {
            const float *x = sound.samples + c * sound.frames + left;
            out[i] += (x[0] + (sound.frames > 1 ? part * (x[1] - x[0]) : 0)) / (float)sound.channels;
        }
    }
    wg_sound_fini(&sound);
    return out;
}
