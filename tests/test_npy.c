/* Files of NumPy: what they hold is known from how tests/tensors/make.py made them; a violation of every rule of .npy
 * and of zip; every bit flipped; every allocation and system call failing. */
#include "tensors_file.h"
#include "zip_file.h"

#ifdef WG_HAVE_ZLIB
#include <zlib.h>
#endif

static void test_npz(void)
{
    wg_safetensors *f = open_tensors("arrays.npz");
    assert_int_equal(wg_safetensors_count(f), 8);
    expect(f, "c", "F32", WG_DIMS(3, 4), eighths(0));
    expect(f, "fortran", "F32", WG_DIMS(3, 4), eighths(0));
    expect(f, "big", "F64", WG_DIMS(3, 4), eighths(0));
    expect(f, "half", "F16", WG_DIMS(3, 4), eighths(0));
    expect(f, "scalar", "F64", WG_SCALAR, NUMBERS(0.5));
    expect(f, "empty", "F32", WG_DIMS(0, 3), NULL);
    expect(f, "i64", "I64", WG_DIMS(3), NUMBERS(1, -2, 3));
    expect(f, "fortran_big", "I32", WG_DIMS(3, 2, 2), NUMBERS(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1));
    wg_safetensors_close(f);
#ifdef WG_HAVE_ZLIB
    f = open_tensors("deflated.npz");
    expect(f, "c", "F32", WG_DIMS(3, 4), eighths(0));
    wg_entry e;
    assert_true(wg_safetensors_find(f, "zeros", &e) && e.bytes == 80000);
    for (size_t i = 0; i < e.bytes; i++) assert_int_equal(((const char *)e.data)[i], 0);
    wg_safetensors_close(f);
#else
    wg_error error = {0};
    assert_null(wg_safetensors_open(TENSORS "/deflated.npz", &error));
    ASSERT_HAS(error.text, "is deflated, and this library was built without zlib");
#endif
}

/* A file of this version, this header and n bytes 1, 2, ... */
static wg_safetensors *open_npy(int version, const char *header, size_t n, wg_error *error)
{
    unsigned char bytes[512] = "\x93NUMPY";
    const size_t length = strlen(header), at = version == 1 ? 10 : 12;
    CHECK(at + length + n <= sizeof bytes);
    bytes[6] = (unsigned char)version;
    zip_put(bytes + 8, length, version == 1 ? 2 : 4);
    memcpy(bytes + at, header, length);
    for (size_t i = 0; i < n; i++) bytes[at + length + i] = (unsigned char)(i + 1);
    *error = (wg_error){0};
    return wg_safetensors_parse(bytes, at + length + n, "a.npy", error);
}

#define NPY(descr, order, shape) "{'descr': '" descr "', 'fortran_order': " order ", 'shape': " shape ", }     \n"

static void test_npy(void)
{
    static const struct {
        int version;
        const char *header;
        size_t n;
        const char *type;
        int rank;
        int64_t sizes[3];
        double numbers[6];
    } rows[] = {
        {1, NPY("|u1", "False", "(2, 3)"), 6, "U8", 2, {2, 3}, {1, 2, 3, 4, 5, 6}},
        {1, NPY("|u1", "True", "(2, 3)"), 6, "U8", 2, {2, 3}, {1, 3, 5, 2, 4, 6}},
        {2, NPY("|i1", "False", "(2,)"), 2, "I8", 1, {2}, {1, 2}},
        {3, NPY("<i2", "False", "(1,)"), 2, "I16", 1, {1}, {0x0201}},
        {1, NPY(">i2", "False", "(2,)"), 4, "I16", 1, {2}, {0x0102, 0x0304}},
        {1, NPY("<u2", "False", "()"), 2, "U16", 0, {0}, {0x0201}},
        {1, NPY("<u4", "False", "(1L,)"), 4, "U32", 1, {1}, {0x04030201}},
        {1, NPY(">u8", "False", "(1,)"), 8, "U64", 1, {1}, {(double)0x0102030405060708}},
        {1, NPY("|b1", "False", "(1,)"), 1, "BOOL", 1, {1}, {1}},
        {1, NPY("<V2", "False", "(1,)"), 2, "BF16", 1, {1}, {0x1.02p-123}},
        {1, NPY("<f4", "True", "(0, 3)"), 0, "F32", 2, {0, 3}, {0}},
        {1, "{\"shape\":(1,),\"descr\":\"|u1\",\"fortran_order\":True}", 1, "U8", 1, {1}, {1}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_error error;
        wg_safetensors *f = open_npy(rows[i].version, rows[i].header, rows[i].n, &error);
        if (!f) fail_msg("%s: %s", rows[i].header, error.text);
        expect(f, "arr_0", rows[i].type, wg_shape_of(rows[i].rank, rows[i].sizes), rows[i].numbers);
        wg_safetensors_close(f);
    }
}

static void test_npy_refused(void)
{
    static const struct {
        int version;
        const char *header;
        size_t n;
        const char *said;
    } rows[] = {{4, NPY("|u1", "False", "(1,)"), 1, "version other than 1.0"},
                {1, NPY("|u1", "False", "(2,)"), 1, "truncated"},
                {1, NPY("|u1", "False", "(1,)"), 2, "longer than its shape says"},
                {1, NPY("|O", "False", "(1,)"), 8, "dtype '|O' is not read"},
                {1, NPY("<U1", "False", "(1,)"), 4, "dtype '<U1' is not read"},
                {1, NPY("f4", "False", "(1,)"), 4, "dtype 'f4' is not read"},
                {1, NPY(">c8", "False", "(1,)"), 8, "is not read"},
                {1, NPY("<f4<f4<f4<f4<f4<f4", "False", "(1,)"), 4, "structured"},
                {1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", 4, "structured"},
                {1, NPY("|u1", "Maybe", "(1,)"), 1, "not True or False"},
                {1, NPY("|u1", "False", "(1,1,1,1,1,1,1,1,1)"), 1, "more than 8 axes"},
                {1, NPY("|u1", "False", "(1"), 1, "no shape"},
                {1, NPY("|u1", "False", "(-1,)"), 1, "no shape"},
                {1, NPY("|u1", "False", "(1 1)"), 1, "no shape"},
                {1, NPY("|u1", "False", "1"), 1, "no shape"},
                {1, NPY("<f8", "False", "(9223372036854775807,)"), 8, "too many elements"},
                {1, NPY("<f8", "False", "(9223372036854775808,)"), 8, "too many elements"},
                {1, NPY("<f8", "False", "(1073741824, 1073741824)"), 8, "truncated"},
                {1, NPY("<f8", "False", "(1073741824, 1073741824, 4)"), 8, "too many elements"},
                {1, "{'descr': '|u1', 'shape': (1,)}", 1, "lacks descr, fortran_order or shape"},
                {1, "{'descr': '|u1', 'descr': '|u1'}", 1, "second key"},
                {1, "{'other': '|u1'}", 1, "unknown"},
                {1, "{'descr': '|u1' 'shape': (1,)}", 1, "no dict"},
                {1, "{descr: '|u1'}", 1, "no dict of strings"},
                {1, NPY("|u1", "False", "(1,)") "x", 1, "bytes after its header's dict"},
                {1, "no dict", 1, "no dict"}};
    wg_error error;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_safetensors *f = open_npy(rows[i].version, rows[i].header, rows[i].n, &error);
        if (f) fail_msg("%s was accepted", rows[i].header);
        assert_int_equal(error.status, WG_ERR_FORMAT);
        ASSERT_HAS(error.text, "a.npy: array arr_0: ");
        ASSERT_HAS(error.text, rows[i].said);
    }
    error = (wg_error){0};
    assert_null(wg_safetensors_parse("\x93NUMPY\2\0\xff\xff\xff\xff", 12, "a.npy", &error));
    ASSERT_HAS(error.text, "longer than 64 KiB");
    error = (wg_error){0};
    assert_null(wg_safetensors_parse("\x93NUMPY\1\0\xff", 9, "a.npy", &error));
    ASSERT_HAS(error.text, "truncated");
}

/* ---- elements as ours ---- */

static void test_entry_read(void)
{
    static const int64_t longs[] = {INT32_MIN, INT32_MAX, 0, 1};
    static const double wide[] = {1, 1e39};
    const wg_entry e = {.name = "n", .type = "I64", .shape = WG_DIMS(4), .data = longs, .bytes = 32};
    int32_t ints[4];
    unsigned char bools[4];
    float floats[4];
    wg_error error = {0};
    assert_int_equal(wg_entry_read(&e, WG_I32, ints, &error), WG_OK);
    assert_true(ints[0] == INT32_MIN && ints[1] == INT32_MAX && ints[3] == 1);
    assert_int_equal(wg_entry_read(&e, WG_F32, floats, &error), WG_OK);
    assert_true(floats[0] == -2147483648.0f && floats[1] == 2147483648.0f);
    static const int64_t between[] = {9007199791611905, -9007199791611905, 0,
                                      1}; /* rounded once, not by way of f64 */
    const wg_entry far = {.name = "n", .type = "I64", .shape = WG_DIMS(4), .data = between, .bytes = 32};
    assert_int_equal(wg_entry_read(&far, WG_F32, floats, &error), WG_OK);
    assert_true(floats[0] == 9007200328482816.0f && floats[1] == -9007200328482816.0f);
    assert_int_equal(wg_entry_read(&e, WG_BOOL, bools, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "n: element 0 is -2147483648, which bool does not hold");
    wg_entry more = e;
    const int64_t too_large[] = {INT32_MAX + 1ll};
    more.data = too_large, more.shape = WG_DIMS(1), more.bytes = 8, error = (wg_error){0};
    assert_int_equal(wg_entry_read(&more, WG_I32, ints, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "n: element 0 is 2147483648, which i32 does not hold");
    more = (wg_entry){.name = "w", .type = "F64", .dtype = WG_F64, .shape = WG_DIMS(2), .data = wide, .bytes = 16};
    error = (wg_error){0};
    assert_int_equal(wg_entry_read(&more, WG_F32, floats, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "do not fit f32");
    error = (wg_error){0};
    assert_int_equal(wg_entry_read(&more, WG_I32, ints, &error), WG_ERR_DTYPE);
    ASSERT_HAS(error.text, "w is F64 in the file, which does not convert to i32");
    more.type = "C64";
    assert_int_equal(wg_entry_read(&more, WG_F32, floats, NULL), WG_ERR_DTYPE);
    more = e;
    more.bytes = 24;
    assert_int_equal(wg_entry_read(&more, WG_F32, floats, NULL), WG_ERR_ARGUMENT);
    assert_int_equal(wg_entry_read(NULL, WG_F32, floats, NULL), WG_ERR_ARGUMENT);
    assert_int_equal(wg_entry_read(&e, WG_F32, NULL, NULL), WG_ERR_ARGUMENT);
}

/* ---- archives ---- */

/* Two arrays, a and b, of one byte each. */
static const char one[] = "\x93NUMPY\1\0\x3c\0{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }  \n\7";

static zip_places two_arrays(unsigned char *bytes)
{
    const zip_part parts[] = {{"a.npy", one, sizeof one - 1}, {"b.npy", one, sizeof one - 1}};
    return zip_file(bytes, parts, 2);
}

static void test_zip_refused(void)
{
    enum { LOCAL, CENTRAL, END };
    static const struct {
        int record, offset, n;
        uint64_t value;
        const char *said;
    } rows[] = {{CENTRAL, 0, 4, 0, "directory ends before its last member"},
                {CENTRAL, 8, 2, 1, "member b.npy is encrypted"},
                {CENTRAL, 10, 2, 12, "compressed by method 12"},
                {CENTRAL, 16, 4, 7, "member b.npy is damaged: checksum mismatch"},
                {CENTRAL, 20, 4, 7, "stored with two sizes"},
                {CENTRAL, 28, 2, 65535, "directory ends before its last member"},
                {CENTRAL, 28, 2, 0, "no relative path"},
                {CENTRAL, 42, 4, 0, "overlaps another one"},
                {CENTRAL, 42, 4, 100000, "is not in the file"},
                {CENTRAL, 42, 4, UINT32_MAX, "has no size"},
                {CENTRAL, 46, 1, '/', "no relative path"},
                {CENTRAL, 46, 3, '.' | '.' << 8 | '/' << 16, "no relative path"},
                {CENTRAL, 46, 1, '\\', "no relative path"},
                {CENTRAL, 46, 1, 0xff, "no relative path"},
                {CENTRAL, 46, 1, 0, "no relative path"},
                {CENTRAL, 46, 1, 'a', "member a.npy is there twice"},
                {CENTRAL, 48, 1, 'x', "neither the arrays of an .npz nor the data.pkl"},
                {LOCAL, 0, 4, 0, "is not in the file"},
                {LOCAL, 26, 2, 5000, "is not in the file"},
                {LOCAL, 28, 2, 20, "overlaps the directory"},
                {END, 0, 1, 0, "no directory"},
                {END, 4, 2, 1, "several parts"},
                {END, 8, 2, 1, "several parts"},
                {END, 8, 4, 3 | 3 << 16, "fewer members than it says"},
                {END, 12, 4, 100000, "larger than the file"},
                {END, 16, 4, 100000, "larger than the file"},
                {END, 16, 4, UINT32_MAX, "no directory"},
                {END, 20, 2, 1, "no directory"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned char bytes[1024];
        const zip_places at = two_arrays(bytes);
        const size_t base = rows[i].record == LOCAL     ? at.local[1]
                            : rows[i].record == CENTRAL ? at.central[1]
                                                        : at.end;
        zip_put(bytes + base + rows[i].offset, rows[i].value, rows[i].n);
        wg_error error = {0};
        wg_safetensors *f = wg_safetensors_parse(bytes, at.size, "z.npz", &error);
        if (f) fail_msg("row %zu (%s) was accepted", i, rows[i].said);
        assert_int_equal(error.status, WG_ERR_FORMAT);
        if (!strstr(error.text, rows[i].said)) fail_msg("row %zu: %s, not %s", i, error.text, rows[i].said);
    }
}

/* Sizes near 2^63 and 2^64 in the field of 64 bits. */
static void test_zip64_refused(void)
{
    static const uint64_t sizes[] = {1ull << 63, UINT64_MAX, UINT64_MAX - 40, (1ull << 63) - 1, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int field = 0; field < 3; field++) {
            const wg_entry t = {.name = "a", .shape = WG_DIMS(1), .data = eighths(0)};
            wg_error error = {0};
            size_t size;
            assert_int_equal(wg_npz_write(in_folder("z.npz"), &t, 1, &error), WG_OK);
            unsigned char *bytes = (unsigned char *)get_file(in_folder("z.npz"), &size);
            unsigned char *central = bytes + size - 22 - 20 - 56 - (46 + 5 + 28);
            assert_int_equal(central[0], 'P');
            zip_put(central + 46 + 5 + 4 + 8 * field, sizes[i], 8);
            assert_null(wg_safetensors_parse(bytes, size, "z.npz", &error));
            assert_int_equal(error.status, WG_ERR_FORMAT);
            free(bytes);
        }
}

/* A file that is cut anywhere is refused; with any bit flipped it is refused, or has the same numbers. */
static void test_cut_and_flipped(void)
{
    unsigned char bytes[1024];
    const zip_places at = two_arrays(bytes);
    for (size_t size = 0; size < at.size; size++) {
        wg_error error = {0};
        assert_null(wg_safetensors_parse(bytes, size, "z.npz", &error));
        assert_int_equal(error.status, WG_ERR_FORMAT);
    }
    int accepted = 0;
    for (size_t bit = 0; bit < 8 * at.size; bit++) {
        wg_error error = {0};
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        wg_safetensors *f = wg_safetensors_parse(bytes, at.size, "z.npz", &error);
        assert_int_equal(f == NULL, error.status == WG_ERR_FORMAT);
        for (size_t i = 0; i < wg_safetensors_count(f); i++) {
            const wg_entry e = wg_safetensors_at(f, i);
            assert_true(e.bytes == 1 && *(const char *)e.data == 7);
        }
        accepted += f != NULL;
        wg_safetensors_close(f);
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    assert_true(accepted > 0 && accepted < (int)at.size * 8 / 2); /* dates, attributes, names, own headers */
}

/* ---- writing ---- */

static void test_written(void)
{
    static const float numbers[] = {1, -2, 3.5f, 0, 1e-30f, 7};
    static const double doubles[] = {1.0 / 3, -0.0};
    static const int32_t integers[] = {-1, 0, 7};
    const uint16_t halves[] = {0x3f80, 0xc000};
    const wg_entry tensors[] = {{.name = "w", .dtype = WG_F32, .shape = WG_DIMS(2, 3), .data = numbers},
                                {.name = "a/b", .dtype = WG_I32, .shape = WG_DIMS(3), .data = integers},
                                {.name = "mask", .dtype = WG_BOOL, .shape = WG_DIMS(3), .data = "\1\0\1"},
                                {.name = "none", .dtype = WG_F32, .shape = WG_DIMS(0, 2)},
                                {.name = "\xc3\xa9", .dtype = WG_F64, .shape = WG_DIMS(2), .data = doubles},
                                {.name = "bf", .dtype = WG_BF16, .shape = WG_DIMS(2), .data = halves},
                                {.name = "s", .dtype = WG_F32, .shape = WG_SCALAR, .data = numbers + 5}};
    enum { N = sizeof tensors / sizeof *tensors };
    wg_error error = {0};
    for (int i = -1; i < N; i++) { /* all as .npz, or each as .npy */
        const wg_status status = i < 0 ? wg_npz_write(in_folder("w"), tensors, N, &error)
                                       : wg_npy_write(in_folder("w"), &tensors[i], &error);
        if (status != WG_OK) fail_msg("%s", error.text);
        wg_safetensors *f = wg_safetensors_open(in_folder("w"), &error);
        if (!f) fail_msg("%s", error.text);
        assert_int_equal(wg_safetensors_count(f), i < 0 ? N : 1);
        for (int k = i < 0 ? 0 : i; k < (i < 0 ? N : i + 1); k++) {
            wg_entry e;
            assert_true(wg_safetensors_find(f, i < 0 ? tensors[k].name : "arr_0", &e));
            assert_true(e.dtype == tensors[k].dtype && wg_shape_equal(&e.shape, &tensors[k].shape));
            assert_true(e.bytes == 0 || memcmp(e.data, tensors[k].data, e.bytes) == 0);
        }
        wg_safetensors_close(f);
    }
    assert_int_equal(wg_npz_write(in_folder("w"), NULL, 0, &error), WG_OK);
    wg_safetensors *f = wg_safetensors_open(in_folder("w"), &error);
    assert_true(f && wg_safetensors_count(f) == 0);
    wg_safetensors_close(f);
}

static void test_write_refused(void)
{
    const float x = 1;
    const wg_entry good = {.name = "a", .shape = WG_DIMS(1), .data = &x};
    wg_entry two[] = {good, good};
    wg_error error = {0};
    assert_int_equal(wg_npz_write(in_folder("n"), two, 2, &error), WG_ERR_ARGUMENT);
    ASSERT_HAS(error.text, "a: duplicate name");
    static const char *const names[] = {"", "/a", "../a", "a/../b", "..", "a\\b", NULL, "\xff"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        two[1].name = names[i];
        error = (wg_error){0};
        assert_int_equal(wg_npz_write(in_folder("n"), two, 2, &error), WG_ERR_ARGUMENT);
        ASSERT_HAS(error.text, "name");
    }
    two[1] = (wg_entry){.name = "b", .dtype = WG_INT8, .shape = WG_DIMS(1), .data = &x};
    assert_int_equal(wg_npz_write(in_folder("n"), two, 2, NULL), WG_ERR_ARGUMENT);
    assert_int_equal(wg_npy_write(in_folder("n"), &two[1], NULL), WG_ERR_ARGUMENT);
    two[1] = (wg_entry){.name = "b", .shape = WG_DIMS(1)};
    assert_int_equal(wg_npy_write(in_folder("n"), &two[1], NULL), WG_ERR_ARGUMENT);
    assert_int_equal(wg_npy_write(in_folder("n"), NULL, NULL), WG_ERR_ARGUMENT);
    assert_int_equal(wg_npz_write(in_folder("n"), NULL, 1, NULL), WG_ERR_ARGUMENT);
    assert_int_equal(wg_npy_write(NULL, &good, NULL), WG_ERR_ARGUMENT);
}

/* ---- memory and faults ---- */

static wg_status read_npz(wg_error *error) { return read_tensors("arrays.npz", error); }
static wg_status write_npz(wg_error *error)
{
    const float x[] = {1, 2};
    const wg_entry two[] = {{.name = "a", .shape = WG_DIMS(1), .data = x},
                            {.name = "b", .shape = WG_DIMS(2), .data = x}};
    return wg_npz_write(in_folder("f"), two, 2, error);
}
#ifdef WG_HAVE_ZLIB
static wg_status read_deflated(wg_error *error) { return read_tensors("deflated.npz", error); }
#endif

static void test_npz_faults(void)
{
    check_faults(read_npz);
    check_faults(write_npz);
#ifdef WG_HAVE_ZLIB
    check_faults(read_deflated);
#endif
}

/* Files that say to be large take little memory. */
static void case_npz_asks_memory(void)
{
    unsigned char bytes[1024];
    wg_error error = {0};
    fault_begin(0, 0, false);
    assert_null(open_npy(1, NPY("<f8", "True", "(1073741824, 1073741824)"), 8, &error));
    const zip_places at = two_arrays(bytes);
    zip_put(bytes + at.central[1] + 20, 0xf0000000f0000000, 8);
    assert_null(wg_safetensors_parse(bytes, at.size, "z.npz", &error));
    assert_true(fault.largest < 1 << 16);
    fault_end();
}

#ifdef WG_HAVE_ZLIB
/* An archive of one deflated array, of n zeros or noise, that says to have `said` bytes. */
static size_t deflated_archive(unsigned char *to, size_t room, size_t n, bool noise, uint32_t said)
{
    z_stream s = {0};
    unsigned char *content = calloc(n, 1), *packed = malloc(room);
    for (size_t i = 80; noise && i < n; i++) content[i] = (unsigned char)(i * i * 2654435761u >> 20);
    memset(content, ' ', 80);
    memcpy(content, "\x93NUMPY\1\0\x46\0", 10);
    char header[70];
    const int length =
        snprintf(header, sizeof header, "{'descr': '|u1', 'fortran_order': False, 'shape': (%u,)}", said - 80);
    memcpy(content + 10, header, (size_t)length);
    assert_int_equal(deflateInit2(&s, 9, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    s.next_in = content, s.avail_in = (unsigned)n, s.next_out = packed, s.avail_out = (unsigned)room;
    assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
    deflateEnd(&s);
    const zip_part part = {"a.npy", packed, room - s.avail_out};
    const zip_places at = zip_file(to, &part, 1);
    zip_put(to + at.central[0] + 10, 8, 2);
    zip_put(to + at.central[0] + 16, crc32(0, content, (unsigned)n), 4);
    zip_put(to + at.central[0] + 24, said, 4);
    free(content);
    free(packed);
    return at.size;
}

static void case_bomb(void)
{
    enum { ROOM = 3 << 20, MANY = 80 << 20 };
    static const struct {
        size_t n;
        bool noise;
        uint32_t said;
        const char *reason;
    } rows[] = {{1 << 20, false, 1 << 20, NULL},
                {1 << 20, true, 1 << 20, NULL},
                {MANY, false, MANY, "its members have more than 67108864 bytes, the limit"},
                {1 << 20, false, 32 << 20, "says to be larger than deflate could make it"},
                {1 << 20, true, 60 << 20, "is shorter than it says"},
                {1 << 20, true, 1 << 19, "checksum mismatch"}};
    unsigned char *bytes = malloc(ROOM);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_error error = {0};
        const size_t size = deflated_archive(bytes, ROOM - 1024, rows[i].n, rows[i].noise, rows[i].said);
        fault_begin(0, 0, false);
        wg_safetensors *f = wg_safetensors_parse(bytes, size, "z.npz", &error);
        assert_true(fault.largest < 3 << 20);
        fault_end();
        if (!f != !!rows[i].reason) fail_msg("row %zu: %s", i, error.text);
        if (rows[i].reason) ASSERT_HAS(error.text, rows[i].reason);
        wg_safetensors_close(f);
    }
    free(bytes);
}
#endif

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(test_npz),
        TEST_CASE(test_npy),
        TEST_CASE(test_npy_refused),
        TEST_CASE(test_entry_read),
        TEST_CASE(test_zip_refused),
        TEST_CASE(test_zip64_refused),
        TEST_CASE(test_cut_and_flipped),
        TEST_CASE(test_written),
        TEST_CASE(test_write_refused),
        TEST_CASE(test_npz_faults),
        TEST_CASE(case_npz_asks_memory),
#ifdef WG_HAVE_ZLIB
        TEST_CASE(case_bomb),
#endif
    };
    make_folder();
    int failed = RUN_TESTS(tests);
    remove_folder();
    return failed;
}
