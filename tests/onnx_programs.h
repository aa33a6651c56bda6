/* Programs that are written as ONNX models, for test_onnx_out.c and onnx_out.py (by onnx_write.c). */
#ifndef TEST_ONNX_PROGRAMS_H
#define TEST_ONNX_PROGRAMS_H

#include "wengert.h"

/* Sets x[..] and y[..]; all inputs are made from fixed numbers. */
typedef void recorder(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y);

/* A program: records parameters into a set once, and then inputs and outputs, of a batch, on a tape. */
typedef struct program {
    const char *name;
    bool fixed; /* its sizes are fixed: no other batch size is tried */
    bool near;  /* read back, its floats may have other bits; all outputs are f32 */
    void (*init)(wg_params *set);
    recorder *record;
    int n_in, n_out;
} program;

extern const program programs[]; /* ended by one without a name */

recorder special, nearly_special, corners, doubles, whole; /* of onnx_corners.c */

enum { PROGRAM_MOST = 4 }; /* inputs, outputs */

/* Names "x0", "x1", ..., "y0", ... of tensors, and of the same of another recording, if it is not NULL. */
void name_tensors(wg_onnx_named *named, const char *const *names, const wg_tensor *tensor, const wg_tensor *another,
                  int n);
extern const char *const input_names[], *const output_names[];

#endif
