/* Models from ONNX files (onnx.ai): opened, recorded on a tape, trained.
 *
 *     wg_error error = {0};
 *     wg_onnx *model = wg_onnx_open("model.onnx", &error);
 *     if (!model) fprintf(stderr, "%s\n", error.text);
 *     wg_optimizer *optimizer = wg_adam_new(wg_onnx_params(model), wg_adam_defaults());
 *     ...
 *     wg_tensor x = wg_data(tape, WG_F32, WG_DIMS(1, 3, 224, 224), pixels), y;
 *     wg_onnx_apply(model, tape, &x, 1, &y, 1);                       // records the graph
 *     wg_tensor loss = wg_cross_entropy(y, labels);                   // and so on: gradients, fusion, bf16
 *     wg_onnx_free(model);
 *
 * Opsets 6 to 28 of the default domain, functions of the model, and operators of ONNX Runtime's domain com.microsoft.
 * docs/onnx.md lists the operators. What is not supported is refused by
 * wg_onnx_open, in one line that names operator, opset and node.
 *
 * Element types: float, float16 and bfloat16 are the model's dtype (f32 or f64: half precision is widened, and not
 * rounded back); so is double if an input, an output or an initializer is double, otherwise double is f64; all integers
 * are i32, and a number that is no i32 is an error; bool is bool.
 *
 * Initializers of floats are parameters of the model's set, under their names: an optimizer trains them, a checkpoint
 * holds them. Not trained are
 *   - mean and variance of a BatchNormalization, and constants of a graph with more than one element: buffers;
 *   - numbers that an operator needs while it is recorded (sizes, axes, paddings), and scalars: constants.
 * Integers with a DequantizeLinear become a parameter of floats, under the name of its result; so do integers of at
 * most 8 bits with a Cast and a Mul by a constant. Names that branches of an If, or calls of functions, have in
 * common get "#2", "#3", ... */
#ifndef WG_ONNX_H
#define WG_ONNX_H

#include "../autograd/param.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wg_onnx wg_onnx; /* an opened model */

/* How a model is opened. Start from wg_onnx_defaults. */
typedef struct wg_onnx_options {
    wg_dtype dtype;         /* of its parameters and of floats: WG_F32 (default) or WG_F64 */
    wg_allocator allocator; /* of the graph and its parameters; zero: malloc */
    /* A Constant of several floats is a parameter, too: where TorchScript and Paddle keep weights. Freeze those that
     * are none (a window, a mask). Default: false */
    bool train_constants;
} wg_onnx_options;
WG_API wg_onnx_options wg_onnx_defaults(void);

/* Maps the file, checks all of it, and copies the parameters; the file must not be shortened while the model is open.
 * External data is read from the file's own folder alone: a path with "..", an absolute one or a symbolic link is an
 * error. Takes memory for the parameters, and a few times the size of the graph without its tensors. Returns NULL on
 * error: WG_ERR_IO; WG_ERR_FORMAT for a file that is not valid, or not supported; WG_ERR_ARGUMENT; WG_ERR_MEMORY. */
WG_API wg_onnx *wg_onnx_open(const char *path, wg_error *error);
WG_API wg_onnx *wg_onnx_open_with(const char *path, wg_onnx_options options, wg_error *error);
/* Frees the model and its parameters; accepts NULL. Tapes that use them must not run afterwards. */
WG_API void wg_onnx_free(wg_onnx *model);

/* The parameters and buffers; owned by the model. NULL for NULL. Parameters of your own, such as a head's, may be
 * added: an optimizer trains them with the model's, and a checkpoint holds them, too. Freeze those that are no
 * weights (a filter bank, a mask) by wg_param_freeze; wg_dump_text says which nodes read a parameter. */
WG_API wg_params *wg_onnx_params(const wg_onnx *model);
/* The version of the operators of the default domain. 0 for NULL. */
WG_API int wg_onnx_opset(const wg_onnx *model);

/* An input or output of the graph. */
typedef struct wg_onnx_value {
    const char *name;                /* NULL past the end */
    const char *type;                /* the file's element type: "float", "int64", ... */
    wg_dtype dtype;                  /* of the tensor on a tape */
    int rank;                        /* of size and symbol; -1: the file does not say */
    int64_t size[WG_MAX_RANK];       /* -1: not fixed */
    const char *symbol[WG_MAX_RANK]; /* the name of a size that is not fixed: "batch"; or NULL */
    bool known_while_recording; /* wg_onnx_apply reads its value, since shapes depend on it: wg_data, no result */
} wg_onnx_value;
/* The inputs, without those that have an initializer; index 0 .. count - 1. */
WG_API size_t wg_onnx_input_count(const wg_onnx *model);
WG_API wg_onnx_value wg_onnx_input(const wg_onnx *model, size_t index);
/* The outputs; the same. */
WG_API size_t wg_onnx_output_count(const wg_onnx *model);
WG_API wg_onnx_value wg_onnx_output(const wg_onnx *model, size_t index);

/* Records the graph on the tape. inputs: as many as the model has, on the tape, in its order, with the dtype, the rank
 * and the fixed sizes of wg_onnx_input. outputs: the first n_out of the model. Errors are stored on the tape, with the
 * node's name as scope, and all outputs are nil; returns the tape's status. Loops are unrolled (at most 65,536 turns),
 * and a branch is chosen while recording. A model may be applied several times and on several tapes, one thread at a
 * time. */
WG_API wg_status wg_onnx_apply(wg_onnx *model, wg_tape *tape, const wg_tensor *inputs, int n_in, wg_tensor *outputs,
                               int n_out);

/* The operators that are supported, for documentation and tests: index 0, 1, ...; NULL past the end. Those of other
 * domains have it before their name: "com.microsoft.BiasGelu". */
WG_API const char *wg_onnx_operator(size_t index);

#ifdef __cplusplus
}
#endif
#endif
