/* What tests of files of tensors expect of them; the files of tests/tensors. */
#ifndef WG_TEST_TENSORS_FILE_H
#define WG_TEST_TENSORS_FILE_H

#include "test_io.h"

static inline wg_safetensors *open_tensors(const char *name)
{
    char path[512];
    wg_error error = {0};
    snprintf(path, sizeof path, "%s/%s", TENSORS, name);
    wg_safetensors *file = wg_safetensors_open(path, &error);
    if (!file) fail_msg("%s", error.text);
    return file;
}

/* The tensor has this type, this shape, and these numbers. */
static inline void expect(const wg_safetensors *file, const char *name, const char *type, wg_shape shape,
                          const double *numbers)
{
    wg_entry e;
    double got[64];
    int64_t numel = 0;
    wg_error error = {0};
    if (!wg_safetensors_find(file, name, &e)) fail_msg("no %s", name);
    assert_string_equal(e.type, type);
    assert_true(wg_shape_equal(&e.shape, &shape) && wg_shape_numel(&shape, &numel) && numel <= 64);
    if (wg_entry_read(&e, WG_F64, got, &error) != WG_OK) fail_msg("%s", error.text);
    for (int64_t i = 0; i < numel; i++)
        if (got[i] != numbers[i]) fail_msg("%s[%d] is %g, not %g", name, (int)i, got[i], numbers[i]);
}

/* Eighths from `first` on. */
static inline const double *eighths(int first)
{
    static double numbers[64];
    for (int i = 0; i < 64; i++) numbers[i] = (first + i) / 8.0;
    return numbers;
}

#define NUMBERS(...) ((const double[]){__VA_ARGS__})
#define E(i)         ((i) / 8.0)

/* Each allocation and each system call of the call fails once: an error of its kind. */
static inline void check_faults(wg_status (*call)(wg_error *error))
{
    for (int allocation = 0; allocation < 2; allocation++) {
        wg_status status;
        int k = 0;
        for (bool reached = true; reached && k < 1000;) {
            wg_error error = {0};
            k++;
            fault_begin(allocation ? 0 : k, allocation ? k : 0, false);
            status = call(&error);
            reached = (allocation ? fault.allocations : fault.calls) >= k;
            fault_end();
            assert_int_equal(status == WG_OK, *error.text == 0);
            if (status != WG_OK) assert_int_equal(status, allocation ? WG_ERR_MEMORY : WG_ERR_IO);
        }
        assert_true(status == WG_OK && k > 3 && k < 1000);
    }
}

/* Opens and closes a file of tests/tensors. */
static inline wg_status read_tensors(const char *name, wg_error *error)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", TENSORS, name);
    wg_safetensors *f = wg_safetensors_open(path, error);
    wg_safetensors_close(f);
    return f ? WG_OK : error->status;
}

#endif
