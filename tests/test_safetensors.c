/* safetensors: accepted files, a violation of every rule of the format, every bit flipped, every system call of a save
 * failing. */
#include "test_io.h"

#include <sys/wait.h>
#include <unistd.h>

/* ---- safetensors ---- */

/* Parses a file with this header and n bytes of data. */
static wg_safetensors *parse(const char *header, size_t n, wg_error *error)
{
    size_t length = strlen(header);
    char *bytes = calloc(1, 8 + length + n);
    uint64_t stored = length;
    memcpy(bytes, &stored, 8);
    memcpy(bytes + 8, header, length);
    *error = (wg_error){0};
    wg_safetensors *file = wg_safetensors_parse(bytes, 8 + length + n, "file", error);
    free(bytes);
    return file;
}

#define T(shape, begin, end) "{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

static void test_safetensors_accepted(void)
{
    static const struct {
        const char *header;
        size_t data, tensors;
    } rows[] = {{"{}", 0, 0},
                {"{}      ", 0, 0},
                {"  {\"a\":" T("[2]", 0, 8) "}", 8, 1},
                {"{\"a\":" T("[]", 0, 4) "}", 4, 1},
                {"{\"a\":" T("[0,5]", 0, 0) ",\"b\":" T("[3,0]", 0, 0) "}", 0, 2},
                {"{\"b\":" T("[1]", 4, 8) ",\"a\":" T("[1]", 0, 4) ",\"z\":" T("[0]", 4, 4) "}", 8, 3},
                {"{\"a\":{\"data_offsets\":[0,2],\"shape\":[4],\"dtype\":\"F4\"}}", 2, 1},
                {"{\"a\":" T("[1,1,1,1,1,1,1,1]", 0, 4) ",\"__metadata__\":{}}", 4, 1}};
    wg_error error;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_safetensors *file = parse(rows[i].header, rows[i].data, &error);
        if (!file) fail_msg("%s: %s", rows[i].header, error.text);
        assert_int_equal(wg_safetensors_count(file), rows[i].tensors);
        wg_safetensors_close(file);
    }
    wg_safetensors *file = parse(
        "{\"__metadata__\":{\"k\":\"\\u00e9\\ud83d\\ude00\\\"\\n\"},\"\\u0061\":" T("[1]", 0, 4) "}", 4, &error);
    assert_non_null(file);
    wg_entry e;
    assert_true(wg_safetensors_find(file, "a", &e));
    assert_int_equal(e.dtype, WG_F32);
    assert_int_equal(e.bytes, 4);
    assert_false(wg_safetensors_find(file, "b", &e));
    assert_string_equal(wg_safetensors_metadata(file, "k"), "\xc3\xa9\xf0\x9f\x98\x80\"\n");
    assert_null(wg_safetensors_metadata(file, "none"));
    assert_string_equal(wg_safetensors_path(file), "file");
    assert_int_equal(wg_safetensors_at(file, 1).shape.rank, -1);
    assert_null(wg_safetensors_metadata_at(file, 1).key);
    wg_safetensors_close(file);
}

static const struct {
    const char *header;
    size_t data;
    const char *reason;
} refused[] = {
    {"", 0, "'{' expected"},
    {"[]", 0, "'{' expected"},
    {"{", 0, "expected"},
    {"{} x", 0, "after the end of the object"},
    {"{\"a\":" T("[2]", 0, 8) "}", 7, "truncated"},
    {"{\"a\":" T("[2]", 0, 8) "}", 9, "bytes after the last tensor"},
    {"{}", 1, "bytes after the last tensor"},
    {"{\"a\":" T("[1]", 0, 4) ",\"b\":" T("[1]", 0, 4) "}", 4, "overlap or leave a gap"},
    {"{\"a\":" T("[1]", 0, 4) ",\"b\":" T("[1]", 8, 12) "}", 12, "overlap or leave a gap"},
    {"{\"a\":" T("[1]", 4, 8) "}", 8, "overlap or leave a gap"},
    {"{\"a\":" T("[3]", 0, 8) "}", 8, "do not match"},
    {"{\"a\":" T("[1]", 4, 0) "}", 4, "do not match"},
    {"{\"a\":" T("[4611686018427387904,4]", 0, 8) "}", 8, "too many elements"},
    {"{\"a\":" T("[9223372036854775808]", 0, 8) "}", 8, "integer too large"},
    {"{\"a\":" T("[-1]", 0, 8) "}", 8, "integer expected"},
    {"{\"a\":" T("[1.5]", 0, 8) "}", 8, "',' expected"},
    {"{\"a\":" T("[01]", 0, 4) "}", 4, "leading zero"},
    {"{\"a\":" T("[1e3]", 0, 4) "}", 4, "',' expected"},
    {"{\"a\":" T("[1,]", 0, 4) "}", 4, "integer expected"},
    {"{\"a\":" T("[1,1,1,1,1,1,1,1,1]", 0, 4) "}", 4, "more than 8"},
    {"{\"a\":{\"dtype\":\"F33\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, "unknown dtype"},
    {"{\"a\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2, "whole number of bytes"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", 0, "without dtype, shape or data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, "duplicate key"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4],\"x\":1}}", 4, "key is not dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0]}}", 4, "',' expected"},
    {"{\"a\":" T("[1]", 0, 4) ",\"a\":" T("[1]", 4, 8) "}", 8, "duplicate tensor name"},
    {"{\"a\":" T("[1]", 0, 4) ",\"\\u0061\":" T("[1]", 4, 8) "}", 8, "duplicate tensor name"},
    {"{\"a\":" T("[1]", 0, 4) "\"b\":" T("[1]", 4, 8) "}", 8, "',' expected"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "'\"' expected"},
    {"{\"__metadata__\":{\"k\":\"a\",\"k\":\"b\"}}", 0, "duplicate metadata key"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate __metadata__"},
    {"{\"__metadata__\":{\"wengert.step\":\"1\"}}", 0, "checksum missing"},
    {"{\"__metadata__\":{\"wengert.crc32\":\"00000000\"}}", 0, "checksum mismatch"},
    {"{\"a\\x\":1}", 0, "unknown escape"},
    {"{\"a\\u12g4\":1}", 0, "four hexadecimal"},
    {"{\"\\ud800\":1}", 0, "surrogate"},
    {"{\"\\udc00\":1}", 0, "surrogate"},
    {"{\"\\ud800\\u0041\":1}", 0, "surrogate"},
    {"{\"\\u0000\":1}", 0, "U+0000"},
    {"{\"a\n\":1}", 0, "control character"},
    {"{\"abc", 0, "unterminated string"},
    {"{\"abc\\", 0, "unterminated string"},
    {"{\"\xff\":1}", 0, "not UTF-8"},
};

static void test_safetensors_refused(void)
{
    wg_error error;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        wg_safetensors *file = parse(refused[i].header, refused[i].data, &error);
        if (file) fail_msg("accepted: %s", refused[i].header);
        assert_int_equal(error.status, WG_ERR_FORMAT);
        ASSERT_HAS(error.text, refused[i].reason);
    }
}

static void test_safetensors_too_short(void)
{
    wg_error error;
    assert_null(wg_safetensors_parse("1234567", 7, "file", &error));
    assert_null(wg_safetensors_parse("1234567", 7, NULL, NULL));
    assert_null(wg_safetensors_parse(NULL, 9, "file", NULL));
    error = (wg_error){0};
    assert_null(wg_safetensors_parse("\0\0\0\0\0\0\0\1", 8, "file", &error));
    ASSERT_HAS(error.text, "100 MB");
    error = (wg_error){0};
    assert_null(wg_safetensors_parse("\7\0\0\0\0\0\0\0{}", 10, "file", &error));
    ASSERT_HAS(error.text, "truncated");
    error = (wg_error){0};
    assert_null(wg_safetensors_open(in_folder("none"), &error));
    ASSERT_HAS(error.text, "No such file");
}

/* A file of another kind is named, with what to do. */
static void case_pt_file(void)
{
    static const struct {
        const char *bytes, *said;
    } rows[] = {{"\x80\2}q\0.......", "pickle: load it in Python"},
                {"\x80\4\x95\x10\0\0\0\1", "a pickle"},
                {"\x1f\x8b\x08\0\0\0\0\1", "gunzip"},
                {"{\"metadata\": {}}", "the index of a model in several files"},
                {"some text", "header length over 100 MB"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_error error = {0};
        put_file(in_folder("model.pt"), rows[i].bytes, 8);
        assert_null(wg_safetensors_open(in_folder("model.pt"), &error));
        assert_int_equal(error.status, WG_ERR_FORMAT);
        ASSERT_HAS(error.text, "model.pt: not a safetensors file");
        ASSERT_HAS(error.text, rows[i].said);
    }
    /* A header of 67 MB whose length begins like a zip archive is legal. */
    const char zip[8] = "PK\3\4";
    wg_error error = {0};
    put_file(in_folder("long"), zip, 8);
    assert_null(wg_safetensors_open(in_folder("long"), &error));
    ASSERT_HAS(error.text, "truncated");
}

static void test_safetensors_many_keys(void)
{
    char *header = malloc(40000);
    wg_error error;
    for (int n = 1024; n <= 1025; n++) {
        size_t at = (size_t)sprintf(header, "{\"__metadata__\":{");
        for (int i = 0; i < n; i++) at += (size_t)sprintf(header + at, "%s\"k%d\":\"v\"", i ? "," : "", i);
        sprintf(header + at, "}}");
        wg_safetensors *file = parse(header, 0, &error);
        assert_int_equal(file != NULL, n == 1024);
        wg_safetensors_close(file);
    }
    free(header);
}

static const float numbers[6] = {1, -2, 3.5f, 0, 1e-30f, 7};
static const double doubles[2] = {1.0 / 3, -0.0};
static const int32_t integers[3] = {-1, 0, 7};

static wg_status write_example(const char *path, wg_error *error)
{
    const wg_entry tensors[] = {
        {.name = "w", .dtype = WG_F32, .shape = WG_DIMS(2, 3), .data = numbers},
        {.name = "\"\\\n\x7f\xc3\xa9", .dtype = WG_I32, .shape = WG_DIMS(3), .data = integers},
        {.name = "mask", .dtype = WG_BOOL, .shape = WG_DIMS(3), .data = "\1\0\1"},
        {.name = "none", .dtype = WG_F32, .shape = WG_DIMS(0, 2)},
        {.name = "d", .dtype = WG_F64, .shape = WG_DIMS(2), .data = doubles},
        {.name = "s", .dtype = WG_F32, .shape = WG_SCALAR, .data = numbers + 5}};
    const wg_pair metadata[] = {{"format", "pt"}, {"note", "line\nline \"two\" \\ \xe2\x82\xac"}};
    return wg_safetensors_write(path, tensors, 6, metadata, 2, error);
}

static void test_safetensors_round_trip(void)
{
    wg_error error = {0};
    wg_entry e;
    assert_int_equal(write_example(in_folder("m"), &error), WG_OK);
    wg_safetensors *file = wg_safetensors_open(in_folder("m"), &error);
    if (!file) fail_msg("%s", error.text);
    assert_int_equal(wg_safetensors_count(file), 6);
    assert_true(wg_safetensors_find(file, "w", &e));
    assert_memory_equal(e.data, numbers, sizeof numbers);
    assert_string_equal(e.type, "F32");
    assert_true(e.shape.rank == 2 && e.shape.size[0] == 2 && e.shape.size[1] == 3);
    assert_true(wg_safetensors_find(file, "d", &e));
    assert_memory_equal(e.data, doubles, sizeof doubles);
    assert_true(wg_safetensors_find(file, "\"\\\n\x7f\xc3\xa9", &e));
    assert_memory_equal(e.data, integers, sizeof integers);
    assert_true(wg_safetensors_find(file, "none", &e));
    assert_int_equal(e.bytes, 0);
    assert_true(wg_safetensors_find(file, "s", &e));
    assert_int_equal(e.shape.rank, 0);
    assert_string_equal(wg_safetensors_metadata(file, "note"), "line\nline \"two\" \\ \xe2\x82\xac");
    wg_safetensors_close(file);

    size_t size;
    uint64_t header;
    char *bytes = get_file(in_folder("m"), &size);
    memcpy(&header, bytes, 8);
    assert_int_equal(header % 8, 0);
    const char *const order[] = {"\"d\":", "\\u007f", "\"none\":", "\"s\":", "\"w\":", "\"mask\":"};
    for (int i = 1; i < 6; i++) /* large elements first, then by name; what is not printable is escaped */
        assert_true(strstr(bytes + 8, order[i - 1]) && strstr(strstr(bytes + 8, order[i - 1]), order[i]));
    assert_int_equal(bytes[8], '{');
    free(bytes);
}

/* Makes the tensors of made_tensors from tensors that are in memory; fails at tensor `fails`. */
typedef struct maker {
    const wg_entry *tensors;
    size_t fails;
    uint64_t next; /* offset that must come next */
} maker;

static wg_status make_tensor(void *context, size_t i, uint64_t offset, void *bytes, size_t size, wg_error *error)
{
    maker *m = context;
    if (i == m->fails) return wg_error_set(error, WG_ERR_NONFINITE, "rank 3 is gone");
    assert_true(offset == 0 || offset == m->next);
    m->next = offset + size;
    memcpy(bytes, (const char *)m->tensors[i].data + offset, size);
    return WG_OK;
}

/* Tensors that are made as they are written: the same file; if one cannot be made, the old file stays. */
static void test_safetensors_made(void)
{
    enum { N = 200000 };
    float *large = calloc(N, sizeof *large);
    for (int i = 0; i < N; i++) large[i] = (float)i;
    const wg_entry whole[] = {{.name = "large", .dtype = WG_F32, .shape = WG_DIMS(N), .data = large},
                              {.name = "none", .dtype = WG_F32, .shape = WG_DIMS(0), .data = large},
                              {.name = "w", .dtype = WG_F32, .shape = WG_DIMS(2, 3), .data = numbers}};
    wg_entry made[3];
    memcpy(made, whole, sizeof made);
    made[0].data = made[1].data = NULL;
    wg_error error = {0};
    maker m = {.tensors = whole, .fails = 9};
    assert_int_equal(wg_safetensors_write(in_folder("a"), whole, 3, NULL, 0, &error), WG_OK);
    assert_int_equal(wg_safetensors_write_from(in_folder("b"), made, 3, NULL, 0, make_tensor, &m, &error), WG_OK);
    size_t size_a, size_b;
    char *a = get_file(in_folder("a"), &size_a), *b = get_file(in_folder("b"), &size_b);
    assert_true(size_a == size_b && memcmp(a, b, size_a) == 0);
    m.fails = 0;
    assert_int_equal(wg_safetensors_write_from(in_folder("b"), made, 3, NULL, 0, make_tensor, &m, &error),
                     WG_ERR_NONFINITE);
    assert_true(strstr(error.text, "b: rank 3 is gone") != NULL);
    free(b);
    b = get_file(in_folder("b"), &size_b);
    assert_true(size_a == size_b && memcmp(a, b, size_a) == 0);
    free(a);
    free(b);
    free(large);
}

/* Truncation at every byte, and a flip of every bit, is detected. */
static void test_safetensors_damaged(void)
{
    wg_error error = {0};
    size_t size;
    const wg_entry tensor = {.name = "w", .dtype = WG_F32, .shape = WG_DIMS(6), .data = numbers};
    const wg_pair metadata = {"wengert.step", "7"};
    assert_int_equal(wg_safetensors_write(in_folder("m"), &tensor, 1, &metadata, 1, &error), WG_OK);
    char *bytes = get_file(in_folder("m"), &size);
    for (size_t n = 0; n < size; n++) {
        error = (wg_error){0};
        assert_null(wg_safetensors_parse(bytes, n, "m", &error));
        assert_int_equal(error.status, WG_ERR_FORMAT);
    }
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        error = (wg_error){0};
        if (wg_safetensors_parse(bytes, size, "m", &error)) fail_msg("bit %zu: not noticed", bit);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << bit % 8));
    }
    free(bytes);
}

static void test_safetensors_write_refused(void)
{
    const wg_entry good = {.name = "a", .dtype = WG_F32, .shape = WG_DIMS(2), .data = numbers};
    wg_entry rows[8][2];
    for (int i = 0; i < 8; i++) rows[i][0] = rows[i][1] = good;
    rows[1][1].name = "__metadata__";
    rows[2][1].name = "\xff";
    rows[3][1].name = NULL;
    rows[4][1].dtype = WG_DTYPES;
    rows[5][1].shape = WG_DIMS(-1);
    rows[6][1].shape = WG_DIMS(INT64_MAX, 2);
    rows[7][1].data = NULL;
    for (int i = 0; i < 8; i++) {
        wg_error error = {0};
        if (i >= 4) rows[i][1].name = "b";
        assert_int_equal(wg_safetensors_write(in_folder("bad"), rows[i], 2, NULL, 0, &error), WG_ERR_ARGUMENT);
        assert_true(strlen(error.text) > 0);
    }
    const wg_pair twice[] = {{"k", "1"}, {"k", "2"}}, crc = {"wengert.crc32", "0"}, wrong = {"k", "\xff"};
    assert_int_equal(wg_safetensors_write(in_folder("bad"), &good, 1, twice, 2, NULL), WG_ERR_ARGUMENT);
    assert_int_equal(wg_safetensors_write(in_folder("bad"), &good, 1, &crc, 1, NULL), WG_ERR_ARGUMENT);
    assert_int_equal(wg_safetensors_write(in_folder("bad"), &good, 1, &wrong, 1, NULL), WG_ERR_ARGUMENT);
    assert_int_equal(access(in_folder("bad"), F_OK), -1);
}

/* ---- under faults ---- */

/* Every system call of a save fails in turn: an error, the old or the new file, and no temporary file. */
static void test_write_faults(void)
{
    wg_error error = {0};
    long k = 1;
    bool folder_is_synced = false;
    empty_folder();
    put_file(in_folder("m"), "old", 3);
    for (bool done = false; !done; k++) {
        error = (wg_error){0};
        fault_begin(k, 0, false);
        wg_status status = write_example(in_folder("m"), &error);
        done = fault.calls < k;
        fault_end();
        assert_int_equal(status, done ? WG_OK : status == WG_OK ? WG_OK : WG_ERR_IO);
        assert_int_equal(count_files(), 1);
        size_t size;
        char *bytes = get_file(in_folder("m"), &size);
        bool old = strcmp(bytes, "old") == 0;
        free(bytes);
        wg_safetensors *file = old ? NULL : wg_safetensors_open(in_folder("m"), NULL);
        assert_true(old || file);
        if (status != WG_OK) { /* the new file is there only if all but the sync of the folder succeeded */
            const bool unsynced = strstr(error.text, "written, but cannot sync its directory") != NULL;
            assert_true(strlen(error.text) > 0 && old != unsynced);
            folder_is_synced |= unsynced;
        }
        if (status == WG_OK) assert_false(old);
        wg_safetensors_close(file);
        put_file(in_folder("m"), "old", 3);
        assert_true(folder_is_synced || !done);
    }
    assert_true(k > 10);
    fault.short_calls = true;
    assert_int_equal(write_example(in_folder("m"), &error), WG_OK);
    fault_end();
}

/* The process ends at every system call in turn: the old or the new file is there, complete. */
static void test_crashes(void)
{
    for (int shorts = 0; shorts < 2; shorts++)
        for (long k = 1, code = 77; code == 77; k++) {
            empty_folder();
            put_file(in_folder("m"), "old", 3);
            pid_t child = fork();
            if (child == 0) {
                fault_begin(k, 0, true);
                fault.short_calls = shorts;
                wg_status status = write_example(in_folder("m"), NULL);
                _exit(status == WG_OK ? 0 : 1);
            }
            int ended;
            assert_int_equal(waitpid(child, &ended, 0), child);
            code = WEXITSTATUS(ended);
            assert_true(code == 77 || code == 0);
            size_t size;
            char *bytes = get_file(in_folder("m"), &size);
            wg_safetensors *file = wg_safetensors_parse(bytes, size, "m", NULL);
            assert_true(file || strcmp(bytes, "old") == 0);
            wg_safetensors_close(file);
            free(bytes);
        }
    empty_folder();
}

/* Parameters from files in half precision: F16 and BF16 are exact in f32. */
static void halves_load(void)
{
    static const char header[] = "{\"b\":{\"dtype\":\"BF16\",\"shape\":[8],\"data_offsets\":[0,16]},"
                                 "\"h\":{\"dtype\":\"F16\",\"shape\":[8],\"data_offsets\":[16,32]}}";
    const uint16_t halves[16] = {0x3f80, 0xc040, 0x0001, 0x7f80, 0xff80, 0x7fc0, 0x8000, 0x7f7f,  /* b */
                                 0x3c00, 0xc200, 0x0001, 0x7c00, 0xfc00, 0x7e00, 0x8000, 0x7bff}; /* h */
    const double want[16] = {1, -3, 0x1p-133, INFINITY, -INFINITY, NAN, -0.0, 0x1.fep127,
                             1, -3, 0x1p-24,  INFINITY, -INFINITY, NAN, -0.0, 65504};
    wg_error error = {0};
    wg_safetensors *file = file_with(header, halves, sizeof halves);
    for (int dtype = WG_F32; dtype <= WG_F64; dtype++) {
        wg_params *set = wg_params_new((wg_dtype)dtype);
        const wg_param *p[2] = {wg_param_new(set, "b", WG_DIMS(8), wg_init_zeros()),
                                wg_param_new(set, "h", WG_DIMS(8), wg_init_zeros())};
        wg_checkpoint c = {.params = set};
        assert_int_equal(wg_checkpoint_load(file, &c, NULL, NULL, &error), WG_OK);
        for (int i = 0; i < 16; i++) {
            const void *got = wg_param_value(p[i / 8]);
            const double number =
                dtype == WG_F64 ? ((const double *)got)[i % 8] : (double)((const float *)got)[i % 8];
            CHECK(isnan(want[i]) ? isnan(number) : number == want[i] && !signbit(number) == !signbit(want[i]));
        }
        wg_params_free(set);
    }
    wg_safetensors_close(file);
}

/* Parameters saved in bf16: rounded to nearest, ties to even; buffers and state as they are; loaded into f32. */
static void halves_are_saved(void)
{
    const float from[8] = {1, 1.00390625f, 1.01171875f, -0.1f, INFINITY, NAN, 3.4e38f, 1e-40f};
    const float want[8] = {1, 1, 1.015625f, -0.10009765625f, INFINITY, NAN, INFINITY, 0x1p-133f};
    wg_error error = {0};
    wg_params *set = wg_params_new(WG_F32), *other = wg_params_new(WG_F32);
    wg_param *p = wg_param_new(set, "w", WG_DIMS(8), wg_init_zeros());
    wg_buffer *b = wg_buffer_new(set, "seen", WG_DIMS(1), wg_init_constant(1.00390625));
    wg_param_tie(set, "tied", p);
    wg_param *q = wg_param_new(other, "w", WG_DIMS(8), wg_init_zeros());
    wg_buffer *seen = wg_buffer_new(other, "seen", WG_DIMS(1), wg_init_zeros());
    wg_param_tie(other, "tied", q);
    memcpy(wg_param_write_begin(p), from, sizeof from);
    wg_param_write_end(p);
    wg_checkpoint c = {.params = set, .saved_as = WG_BF16};
    assert_int_equal(wg_checkpoint_save(in_folder("halves"), &c, &error), WG_OK);
    wg_safetensors *file = wg_safetensors_open(in_folder("halves"), &error);
    assert_non_null(file);
    wg_entry e;
    CHECK(wg_safetensors_find(file, "w", &e) && !strcmp(e.type, "BF16") && e.dtype == WG_BF16 && e.bytes == 16);
    CHECK(wg_safetensors_find(file, "tied", &e) && !strcmp(e.type, "BF16"));
    CHECK(wg_safetensors_find(file, "seen", &e) && !strcmp(e.type, "F32"));
    wg_checkpoint d = {.params = other};
    assert_int_equal(wg_checkpoint_load(file, &d, NULL, NULL, &error), WG_OK);
    for (int i = 0; i < 8; i++) {
        const float got = ((const float *)wg_param_value(q))[i];
        CHECK(isnan(want[i]) ? isnan(got) : got == want[i]);
    }
    CHECK(((const float *)wg_param_value(seen))[0] == 1.00390625f && b);
    wg_safetensors_close(file);

    c.saved_as = WG_INT8;
    CHECK(wg_checkpoint_save(in_folder("halves"), &c, &error) == WG_ERR_ARGUMENT);
    CHECK(strstr(error.text, "saved as WG_F32 or WG_BF16, not int8"));
    wg_params *wide = wg_params_new(WG_F64);
    c = (wg_checkpoint){.params = wide, .saved_as = WG_BF16};
    error = (wg_error){0};
    CHECK(wg_checkpoint_save(in_folder("halves"), &c, &error) == WG_ERR_ARGUMENT);
    CHECK(strstr(error.text, "only parameters of f32 are saved as bf16, not of f64"));
    wg_params_free(set), wg_params_free(other), wg_params_free(wide);
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(halves_load),
        TEST_CASE(halves_are_saved),
        TEST_CASE(test_safetensors_accepted),
        TEST_CASE(test_safetensors_refused),
        TEST_CASE(test_safetensors_too_short),
        TEST_CASE(case_pt_file),
        TEST_CASE(test_safetensors_many_keys),
        TEST_CASE(test_safetensors_round_trip),
        TEST_CASE(test_safetensors_made),
        TEST_CASE(test_safetensors_damaged),
        TEST_CASE(test_safetensors_write_refused),
        TEST_CASE(test_write_faults),
        TEST_CASE(test_crashes),
    };
    make_folder();
    int failed = RUN_TESTS(tests);
    remove_folder();
    return failed;
}
