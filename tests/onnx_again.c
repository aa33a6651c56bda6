/* Applies an ONNX model to the inputs of a file, and compares its outputs with those there, bit by bit:
 *
 *     onnx_again MODEL.onnx NUMBERS.npz
 *
 * Prints "same bits", or which output differs first, and by how much at most. For onnx_examples.py. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wengert.h"

enum { MOST = 64 };

static void stop(const char *what, const char *text)
{
    fprintf(stderr, "%s: %s\n", what, text);
    exit(1);
}

static wg_entry entry_of(const wg_safetensors *numbers, const char *name)
{
    wg_entry entry;
    if (!wg_safetensors_find(numbers, name, &entry)) stop(name, "is not in the file of numbers");
    return entry;
}

/* Prints and returns true if the output, of floats, has other bits. */
static bool differs(const char *name, wg_tensor got, const wg_entry *want)
{
    const wg_shape shape = wg_shape_get(got);
    const float *data = wg_value(got);
    double most = 0;
    if (!data) stop(name, wg_tape_message(got.tape));
    if (!wg_shape_equal(&shape, &want->shape) || wg_dtype_get(got) != WG_F32 || want->dtype != WG_F32)
        stop(name, "has another shape or dtype, or is not f32");
    if (memcmp(data, want->data, want->bytes) == 0) return false;
    for (int64_t i = 0; i < wg_numel(got); i++) {
        float number;
        memcpy(&number, (const float *)want->data + i, sizeof number);
        most = fmax(most, fabs((double)data[i] - (double)number));
    }
    printf("%s differs by %.1e at most\n", name, most);
    return true;
}

int main(int argc, char **argv)
{
    wg_error error = {0};
    wg_tensor x[MOST], y[MOST];
    if (argc != 3) stop("onnx_again", "give a model and a file of numbers");
    wg_onnx *model = wg_onnx_open(argv[1], &error);
    wg_safetensors *numbers = wg_safetensors_open(argv[2], &error);
    if (!model || !numbers) stop("onnx_again", error.text);
    const int n_in = (int)wg_onnx_input_count(model), n_out = (int)wg_onnx_output_count(model);
    if (n_in > MOST || n_out > MOST) stop(argv[1], "too many inputs or outputs");
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_set_training(tape, false);
    wg_no_grad_begin(tape);
    for (int i = 0; i < n_in; i++) {
        const wg_entry entry = entry_of(numbers, wg_onnx_input(model, (size_t)i).name);
        void *data = malloc(entry.bytes + 1); /* aligned */
        if (!data) stop("onnx_again", "out of memory");
        x[i] = wg_data(tape, entry.dtype, entry.shape, memcpy(data, entry.data, entry.bytes));
        free(data);
    }
    if (wg_onnx_apply(model, tape, x, n_in, y, n_out) != WG_OK || wg_eval(y, n_out) != WG_OK)
        stop(argv[1], wg_tape_message(tape));
    bool other = false;
    for (int i = 0; i < n_out && !other; i++) {
        const char *name = wg_onnx_output(model, (size_t)i).name;
        const wg_entry entry = entry_of(numbers, name);
        other = differs(name, y[i], &entry);
    }
    if (!other) printf("same bits\n");
    wg_tape_free(tape);
    wg_safetensors_close(numbers);
    wg_onnx_free(model);
    return 0;
}
