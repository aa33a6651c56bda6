/* Shared by those programs of the zoo whose model is C code here, since its original is not ONNX: where the weights
 * are, loading, and running beside the original. */
#ifndef OWN_H
#define OWN_H

#include "../app.h"

typedef struct own {
    const char *model; /* path of the weights; NULL: in the folder of models */
    const char *check; /* folder for own_check, or NULL */
    bool tune;
    int64_t steps, seed, threads;
    char *path; /* of the weights */
    wg_pool *pool;
    wg_tape *tape;
} own;

/* Options that all have. */
#define OWN_OPTIONS(o, file)                                                                                       \
    {APP_TEXT, "model", &(o)->model, "FILE", "weights; default: " file " in the folder of examples/zoo/fetch.py"}, \
        {APP_FLAG, "tune", &(o)->tune, NULL, "train it further, on a task of its own"},                            \
        {APP_INT, "steps", &(o)->steps, "N", "of training", 1, 1000000},                                           \
        {APP_TEXT, "check", &(o)->check, "DIR", "for check.py: run on in.npz there, once a line of stdin"},        \
        {APP_INT, "seed", &(o)->seed, "N", "of random numbers", 0, 1e18}, APP_THREADS(&(o)->threads)

/* Finds the weights and makes the tape. */
void own_open(own *o, const char *file);
void own_close(own *o);

/* The path that was given, or that of `file` in the folder of models: $WG_ZOO, or ~/.cache/wengert-zoo. Ends the
 * program with status 77 if there is no such file. The caller frees it. */
char *own_path(const char *given, const char *file);
/* Loads the tensors of a file by a map; a difference ends the program unless `tolerate` accepts it. */
void own_load(const char *path, wg_params *params, const wg_map_row *map, size_t n, wg_tolerate tolerate);
/* The tensor of this name and shape as numbers of a dtype, which the caller frees. Its absence ends the program. A size
 * of -1 is any, and is filled in. */
void *own_read(const wg_safetensors *file, const char *name, wg_dtype dtype, wg_shape *shape);

/* Runs the model on the inputs in a file; the result is valid until the next call. */
typedef wg_entry (*own_run)(void *context, const wg_safetensors *inputs);
/* Runs on the inputs in folder/in.npz and writes the result as out0.npy there; then serves check.py by models_serve. */
void own_check(const char *folder, own_run run, void *context);

#endif
