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

/* ---- edited files ---- */

enum { BYTES = 1 << 14 };

/* The bytes of a file of tests/tensors, to be edited. */
typedef struct file_bytes {
    unsigned char at[BYTES];
    size_t n;
} file_bytes;

static inline file_bytes file_bytes_of(const char *name)
{
    file_bytes b;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", TENSORS, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    b.n = fread(b.at, 1, BYTES, file);
    fclose(file);
    assert_in_range(b.n, 100, BYTES - 1);
    return b;
}

/* Where the number-th `mark` begins. */
static inline unsigned char *find_mark(file_bytes *b, const char *mark, size_t n, int number)
{
    unsigned char *p = b->at;
    for (;; p++) {
        p = memmem(p, b->n - (size_t)(p - b->at), mark, n);
        if (!p) fail_msg("no %d. %s", number, mark);
        if (number-- == 0) return p;
    }
}

/* The bytes are refused for this reason. */
static inline void expect_refused(const file_bytes *b, const char *mark, const char *reason)
{
    wg_error error = {0};
    wg_safetensors *f = wg_safetensors_parse(b->at, b->n, "x", &error);
    if (f || error.status != WG_ERR_FORMAT || !strstr(error.text, reason))
        fail_msg("%s: %s, not: %s", mark, error.text, reason);
}

/* Cut anywhere, `step` bytes apart, the file is refused; with any bit changed it is read, or refused by one line. */
static inline void check_cut_and_flipped(const char *name, size_t step)
{
    file_bytes b = file_bytes_of(name);
    for (size_t n = 0; n < b.n; n += step) {
        wg_error error = {0};
        assert_null(wg_safetensors_parse(b.at, n, "x", &error));
        assert_int_equal(error.status, WG_ERR_FORMAT);
    }
    for (size_t bit = 0; bit < 8 * b.n; bit++) {
        wg_error error = {0};
        b.at[bit / 8] ^= (unsigned char)(1 << bit % 8);
        wg_safetensors *f = wg_safetensors_parse(b.at, b.n, "x", &error);
        if (f ? *error.text : error.status != WG_ERR_FORMAT || strchr(error.text, '\n'))
            fail_msg("%s, bit %zu: %s", name, bit, error.text);
        wg_safetensors_close(f);
        b.at[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
}

/* ---- reading them ---- */

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
