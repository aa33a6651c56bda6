/* Cases with reference numbers: the files of tests/golden, which PyTorch's numbers are in. A case has a name; what
 * belongs to it stands in the file as name/what. Each runs in f64 (1e-10) and in f32 (1e-5), relative to the largest
 * number of the tensor. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include "wengert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One case in one dtype. */
typedef struct run {
    const wg_safetensors *file;
    const char *name;
    wg_dtype dtype;
    wg_tape *tape;
    wg_params *set;
    int failures;
} run;

/* ---- reference numbers; what must be there and is not ends the program ---- */

bool find(const run *r, const char *what, wg_entry *entry);
wg_entry need(run *r, const char *what);
/* Element i of memory of this dtype. */
double number(wg_dtype dtype, const void *data, int64_t i);
/* Elements from `first` on into memory of the run's dtype. */
void copy_out(const run *r, const wg_entry *entry, int64_t first, int64_t n, void *out);
wg_tensor constant(run *r, const char *what);
void set_param(run *r, wg_param *param, const char *what);
/* A new parameter with these numbers. */
wg_param *input(run *r, const char *what);

/* ---- comparing ---- */

void compare(run *r, const char *what, const void *have);
/* The parameter's gradient with grad.<what>. */
void compare_grad(run *r, const char *what, const wg_param *param);
/* sum(y * r.<what>), the loss that the reference was differentiated by; keeps y to be compared. */
wg_tensor weighted(run *r, const char *what, wg_tensor y);
void backward(run *r, wg_tensor loss);

/* ---- running ---- */

/* Runs the case in both dtypes. */
void both(const wg_safetensors *file, const char *name, const void *options,
          void (*test)(run *r, const void *options));

typedef struct golden_file {
    const char *name; /* without .safetensors */
    void (*test)(const wg_safetensors *file);
} golden_file;

/* main's arguments are FOLDER [case]: all files, or only the cases whose name starts with `case`. The exit code. */
int run_golden(int argc, char **argv, const golden_file *files, size_t n);

#endif
