/* Parts of the zoo's programs. */
#include "zoo.h"

#include "models.h"

#include <stdlib.h>

enum { MOST = 8 }; /* inputs, outputs */

void zoo_open(zoo *z, const char *file, bool train_constants)
{
    wg_error error = {0};
    wg_onnx_options options = wg_onnx_defaults();
    options.train_constants = train_constants;
    char *path = models_path(z->folder, file);
    z->model = wg_onnx_open_with(path, options, &error);
    if (!z->model && error.status == WG_ERR_IO) app_fail("%s (examples/zoo/fetch.py gets the models)", error.text);
    if (!z->model) app_fail("%s", error.text);
    if (wg_onnx_input_count(z->model) > MOST || wg_onnx_output_count(z->model) > MOST)
        app_fail("%s: more than %d inputs or outputs", path, MOST);
    free(path);
    z->tape = app_tape_new(z->threads, 0, NULL, &z->pool);
    wg_set_training(z->tape, false);
}

void zoo_close(zoo *z)
{
    wg_onnx_free(z->model);
    wg_tape_free(z->tape);
    wg_pool_free(z->pool);
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

/* ---- for check.py ---- */

typedef struct served {
    const zoo *z;
    const wg_entry *inputs;
    wg_tensor outputs[MOST];
} served;

static void run(void *context)
{
    served *s = context;
    const int n = (int)wg_onnx_output_count(s->z->model);
    zoo_apply(s->z, s->z->tape, s->inputs, s->outputs, n);
    zoo_eval(s->z, s->outputs, n);
}

static void run_again(void *context)
{
    run(context);
    app_end_step(((const served *)context)->z->tape);
}

void zoo_check(const zoo *z, const wg_entry *inputs)
{
    served s = {z, inputs};
    wg_no_grad_begin(z->tape);
    run(&s);
    for (size_t i = 0; i < wg_onnx_input_count(z->model); i++) models_write(z->check, "in", i, &inputs[i]);
    for (size_t i = 0; i < wg_onnx_output_count(z->model); i++) {
        const wg_tensor y = s.outputs[i];
        models_write(z->check, "out", i,
                     &(wg_entry){.dtype = wg_dtype_get(y), .shape = wg_shape_get(y), .data = wg_value(y)});
    }
    app_end_step(z->tape);
    models_serve(run_again, &s);
    wg_no_grad_end(z->tape);
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
