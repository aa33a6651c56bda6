/* Writes the programs of onnx_programs.c as ONNX models, with inputs and outputs at two batch sizes, for onnx_out.py:
 *
 *     onnx_write FOLDER
 *
 * NAME.onnx and NAME.BATCH.npz, which has x0, x1, ..., y0, y1, ... */
#include <stdio.h>
#include <stdlib.h>

#include "onnx_programs.h"

static void stop(const char *what, const char *text)
{
    fprintf(stderr, "%s: %s\n", what, text);
    exit(1);
}

static void write_numbers(const program *p, const char *folder, int64_t batch, wg_tape *tape)
{
    char path[512];
    wg_tensor tensor[2 * PROGRAM_MOST];
    wg_entry entry[2 * PROGRAM_MOST];
    wg_error error = {0};
    const int n = p->n_in + p->n_out;
    p->record(tape, batch, tensor, tensor + p->n_in);
    if (wg_eval(tensor, n) != WG_OK) stop(p->name, wg_tape_message(tape));
    for (int i = 0; i < n; i++)
        entry[i] = (wg_entry){.name = i < p->n_in ? input_names[i] : output_names[i - p->n_in],
                              .dtype = wg_dtype_get(tensor[i]),
                              .shape = wg_shape_get(tensor[i]),
                              .data = wg_value(tensor[i])};
    snprintf(path, sizeof path, "%s/%s.%lld.npz", folder, p->name, (long long)batch);
    if (wg_npz_write(path, entry, (size_t)n, &error) != WG_OK) stop(p->name, error.text);
    if (wg_tape_reset(tape) != WG_OK) stop(p->name, wg_tape_message(tape));
}

static void write_program(const program *p, const char *folder)
{
    char path[512];
    wg_params *set = wg_params_new(WG_F32);
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_tensor x[2][PROGRAM_MOST], y[2][PROGRAM_MOST];
    wg_onnx_named in[PROGRAM_MOST], out[PROGRAM_MOST];
    wg_error error = {0};
    p->init(set);
    wg_set_training(tape, false);
    p->record(tape, 2, x[0], y[0]);
    if (!p->fixed) p->record(tape, 3, x[1], y[1]);
    name_tensors(in, input_names, x[0], p->fixed ? NULL : x[1], p->n_in);
    name_tensors(out, output_names, y[0], p->fixed ? NULL : y[1], p->n_out);
    snprintf(path, sizeof path, "%s/%s.onnx", folder, p->name);
    if (wg_onnx_write(path, in, p->n_in, out, p->n_out, &error) != WG_OK) stop(p->name, error.text);
    (void)wg_tape_reset(tape);
    write_numbers(p, folder, 2, tape);
    if (!p->fixed) write_numbers(p, folder, 5, tape);
    wg_tape_free(tape);
    wg_params_free(set);
}

int main(int argc, char **argv)
{
    if (argc != 2) stop("onnx_write", "give a folder");
    for (const program *p = programs; p->name; p++) write_program(p, argv[1]);
    return 0;
}
