/* A recorded program as an ONNX model (onnx.ai), which other runtimes and wg_onnx_open read.
 *
 *     wg_set_training(tape, false);
 *     wg_tensor x = wg_data(tape, WG_F32, WG_DIMS(2, 64), pixels), y = classify(x);
 *     wg_onnx_named in = {.name = "pixels", .tensor = x}, out = {.name = "scores", .tensor = y};
 *     wg_error error = {0};
 *     if (wg_onnx_write("digits.onnx", &in, 1, &out, 1, &error) != WG_OK) fprintf(stderr, "%s\n", error.text);
 *
 * Nothing is computed. What the outputs depend on is written: parameters under their names, tied ones once; buffers and
 * other leaves as constants; each op as one operator of ONNX or a few. docs/onnx-export.md lists the ops.
 *
 * Sizes are fixed, unless the same program was recorded at another batch size, too:
 *
 *     wg_tensor x3 = wg_data(tape, WG_F32, WG_DIMS(3, 64), pixels), y3 = classify(x3);
 *     wg_onnx_named in = {"pixels", x, x3}, out = {"scores", y, y3};
 *
 * Then the two recordings are compared, node by node: they must be the same but for sizes that are a multiple of the
 * batch size in both, and these are written as the symbolic size N. */
#ifndef WG_ONNX_EXPORT_H
#define WG_ONNX_EXPORT_H

#include "../autograd/tape.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An input or output of the model. */
typedef struct wg_onnx_named {
    const char *name;  /* of at least one character; must not begin with '/' */
    wg_tensor tensor;  /* input: made by wg_data, wg_borrow or wg_scalar */
    wg_tensor another; /* the same in the recording at another batch size; WG_NONE in all: sizes are fixed */
} wg_onnx_named;

/* Writes the program of the outputs as an ONNX model, opset 20, replacing the file as wg_file_write does. All tensors
 * are of one tape (`another`: of one, too). At least one output; inputs that no output depends on are inputs all the
 * same. Errors: WG_ERR_ARGUMENT; WG_ERR_SHAPE, the two recordings differ; WG_ERR_STALE; WG_ERR_FORMAT, an op has no
 * form in ONNX, or the model exceeds 2 GiB, the most that its format allows; WG_ERR_MEMORY; WG_ERR_IO. The file is then
 * as it was, or whole, if the system could not make it last. */
WG_CHECKED WG_API wg_status wg_onnx_write(const char *path, const wg_onnx_named *inputs, int n_in,
                                          const wg_onnx_named *outputs, int n_out, wg_error *error);

#ifdef __cplusplus
}
#endif
#endif
