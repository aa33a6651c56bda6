/* Opening and freeing a model; what it says of itself. */
#include "../io/plain.h"
#include "internal.h"

wg_onnx_options wg_onnx_defaults(void) { return (wg_onnx_options){.dtype = WG_F32}; }

wg_onnx *wg_onnx_open(const char *path, wg_error *error)
{
    return wg_onnx_open_with(path, wg_onnx_defaults(), error);
}

/* The set and the omitted value 0. */
static bool prepare(wg_onnx *m, wg_onnx_options options, wg_error *error)
{
    m->params = wg_params_new_with(m->dtype, options.allocator, 0);
    if (!m->params || !wg__grow(&m->heap, (void **)&m->values, &m->cap_values, 1, sizeof *m->values))
        return wg__onnx_memory(m, error);
    m->values[0] = (wg__value){0};
    m->n_values = 1;
    return true;
}

wg_onnx *wg_onnx_open_with(const char *path, wg_onnx_options options, wg_error *error)
{
    if (!path) return wg_error_set(error, WG_ERR_ARGUMENT, "onnx: the path is NULL"), NULL;
    if (!wg_dtype_is_float(options.dtype))
        return wg_error_set(error, WG_ERR_ARGUMENT, "onnx: the dtype must be f32 or f64"), NULL;
    wg__heap heap = {.allocator = options.allocator};
    wg_onnx *m = wg__heap_alloc(&heap, sizeof *m);
    if (!m) return wg_error_set(error, WG_ERR_MEMORY, "%.160s: out of memory", path), NULL;
    *m = (wg_onnx){
        .heap = heap, .dtype = options.dtype, .doubles = options.dtype, .train_constants = options.train_constants};
    m->arena = m->turn = (wg__arena){.heap = &m->heap};
    m->arena.most = m->turn.most = 1 << 16;
    wg__span bytes;
    const wg__plain caller = wg__plain_begin();
    const bool ok = wg__folder_open(&m->folder, &m->arena, path, &bytes, error) && prepare(m, options, error) &&
                    wg__onnx_parse(m, bytes, error) && wg__onnx_take_constants(m, error) &&
                    wg__onnx_mark_wanted(m, error) && wg__onnx_widen(m, error) && wg__onnx_declare(m, error) &&
                    wg__onnx_make_params(m, error) && wg__onnx_fuse(m, error) && wg__onnx_settle(m, bytes, error);
    wg__plain_end(&caller);
    if (ok) return m;
    wg_onnx_free(m);
    return NULL;
}

void wg_onnx_free(wg_onnx *m)
{
    if (!m) return;
    wg__folder_close(&m->folder);
    wg_params_free(m->params);
    wg__heap_release(&m->heap, m->values, m->cap_values * sizeof *m->values);
    wg__arena_release(&m->arena);
    wg__arena_release(&m->turn);
    wg__heap heap = m->heap;
    wg__heap_release(&heap, m, sizeof *m);
}

wg_params *wg_onnx_params(const wg_onnx *model) { return model ? model->params : NULL; }
int wg_onnx_opset(const wg_onnx *model) { return model ? model->opset : 0; }
