/* See own.h. */
#include "own.h"

#include "models.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SKIPPED = 77 };

char *own_path(const char *given, const char *file)
{
    char *path = given ? strdup(given) : models_path(NULL, file);
    if (!path) app_fail("out of memory");
    if (access(path, R_OK) == 0) return path;
    app_note("no %s: examples/zoo/fetch.py gets it", path);
    exit(SKIPPED);
}

void own_open(own *o, const char *file)
{
    o->path = own_path(o->model, file);
    o->tape = app_tape_new(o->threads, o->seed, NULL, &o->pool);
}

void own_close(own *o)
{
    wg_tape_free(o->tape);
    wg_pool_free(o->pool);
    free(o->path);
}

void own_load(const char *path, wg_params *params, const wg_map_row *map, size_t n, wg_tolerate tolerate)
{
    wg_error error = {0};
    wg_checkpoint checkpoint = {.params = params, .map = map, .n_map = n};
    app_check_params(params, path);
    wg_safetensors *file = wg_safetensors_open(path, &error);
    if (!file || wg_checkpoint_load(file, &checkpoint, tolerate, NULL, &error) != WG_OK) app_fail("%s", error.text);
    wg_safetensors_close(file);
}

void *own_read(const wg_safetensors *file, const char *name, wg_dtype dtype, wg_shape *shape)
{
    wg_entry e;
    wg_error error = {0};
    int64_t numel = 0;
    bool fits = wg_safetensors_find(file, name, &e) && e.shape.rank == shape->rank;
    for (int i = 0; fits && i < shape->rank; i++) fits = shape->size[i] < 0 || shape->size[i] == e.shape.size[i];
    if (!fits || !wg_shape_numel(&e.shape, &numel))
        app_fail("%s: no tensor %s of the expected shape", wg_safetensors_path(file), name);
    *shape = e.shape;
    void *numbers = app_room(numel + 1, 8);
    if (wg_entry_read(&e, dtype, numbers, &error) != WG_OK) app_fail("%s", error.text);
    return numbers;
}

typedef struct served {
    own_run run;
    void *context;
    const wg_safetensors *inputs;
} served;

static void run_again(void *context)
{
    const served *s = context;
    s->run(s->context, s->inputs);
}

void own_check(const char *folder, own_run run, void *context)
{
    wg_error error = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/in.npz", folder);
    wg_safetensors *inputs = wg_safetensors_open(path, &error);
    if (!inputs) app_fail("%s", error.text);
    const wg_entry result = run(context, inputs);
    models_write(folder, "out", 0, &result);
    models_serve(run_again, &(served){run, context, inputs});
    wg_safetensors_close(inputs);
}
