/* Cases with reference numbers from PyTorch, in the files of tests/golden. The tensors of a case are stored as
 * CASE/TENSOR. Each case runs in f64 (tolerance 1e-10) and in f32 (2e-5), relative to the tensor's largest number. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include "check.h"
#include "wengert.h"

/* One case in one dtype. */
typedef struct run {
    const wg_safetensors *file;
    const char *name;
    wg_dtype dtype;
    wg_tape *tape;
    wg_params *set;
} run;

/* ---- reference numbers; the test ends if one is missing ---- */

bool find(const run *r, const char *what, wg_entry *entry);
wg_entry need(run *r, const char *what);
/* Element i of memory of this dtype. */
double number(wg_dtype dtype, const void *data, int64_t i);
/* Copies n elements from `first` on into memory of the run's dtype. */
void copy_out(const run *r, const wg_entry *entry, int64_t first, int64_t n, void *out);
wg_tensor constant(run *r, const char *what);
void set_param(run *r, wg_param *param, const char *what);
/* A new parameter with the numbers of the reference. */
wg_param *input(run *r, const char *what);

/* ---- comparisons ---- */

void compare(run *r, const char *what, const void *have);
/* Compares the parameter's gradient with grad.<what>. */
void compare_grad(run *r, const char *what, const wg_param *param);
/* sum(y * r.<what>), the loss of the reference. Keeps y for comparison. */
wg_tensor weighted(run *r, const char *what, wg_tensor y);
void backward(run *r, wg_tensor loss);

/* ---- running ---- */

/* A file of tests/golden, by its name without .safetensors; the test ends if it cannot be read. */
wg_safetensors *golden_open(const char *name);

/* Runs the case in both dtypes, if --only admits it. */
void both(const wg_safetensors *file, const char *name, const void *options,
          void (*body)(run *r, const void *options));

#endif
