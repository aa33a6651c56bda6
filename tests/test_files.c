/* Text and IDX files: accepted and refused input, pipes, how much memory is taken. */
#include "test_io.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- checks that formats share ---- */

static void test_crc32(void)
{
    assert_int_equal(wg__crc32(0, "123456789", 9), 0xCBF43926); /* the check value of the CRC catalogue */
    assert_int_equal(wg__crc32(wg__crc32(0, "1234", 4), "56789", 5), 0xCBF43926);
    assert_int_equal(wg__crc32(0, "", 0), 0);
}

static void test_utf8(void)
{
    static const char *const good[] = {
        "", "abc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"};
    static const char *const wrong[] = {
        "\x80",  "\xc3",     "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xc3(", "\xe2\x82", "\xff"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_int_equal(wg__utf8_error(good[i], strlen(good[i])), strlen(good[i]));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(wg__utf8_error(wrong[i], strlen(wrong[i])), 0);
    assert_int_equal(wg__utf8_error("ab\xff", 3), 2);
}

static void test_path_is_below(void)
{
    const char *good[] = {"a", "a/b.npy", "./a", "a//b", "a/", "...", "..a/b..", "a/..b/c", "\xc3\xa9"};
    const char *wrong[] = {"", "/", "/a", "..", "../a", "a/..", "a/../b", "./..", "a\\b", "..\\a", "a\xff", "\xc3"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!wg__path_is_below(good[i], strlen(good[i]))) FAIL("%s is refused", good[i]);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (wg__path_is_below(wrong[i], strlen(wrong[i]))) FAIL("%s is not refused", wrong[i]);
    CHECK(!wg__path_is_below("a\0b", 3) && wg__path_is_below("a\0b", 1) && wg__path_is_below("a/..", 3));
}

static void test_printable(void)
{
    static const struct {
        const char *text, *shown;
    } rows[] = {
        {"plain, caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "plain, caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"a\nb\r\t\x1b[2J\x7f", "a\\x0ab\\x0d\\x09\\x1b[2J\\x7f"},
        {"\xc2\x9b"
         "31m\xc2\xa0",
         "\\u009b31m\xc2\xa0"},                                                /* C1: CSI as one character */
        {"\xe2\x80\xa8 \xe2\x80\xae \xe2\x81\xa6", "\\u2028 \\u202e \\u2066"}, /* line end, direction */
        {"\xd8\x9c \xe2\x80\x8e \xe2\x80\x8f", "\\u061c \\u200e \\u200f"},     /* marks of direction */
        {"\xff\xc3(\xe2\x82", "\\xff\\xc3(\\xe2\\x82"},
        {"", ""},
        {NULL, "(null)"}};
    char text[64];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_ptr_equal(wg_printable(rows[i].text, text, sizeof text), text);
        assert_string_equal(text, rows[i].shown);
    }
    for (size_t size = 1; size < 12; size++) { /* cut after a whole character or escape */
        memset(text, '#', sizeof text);
        wg_printable("\xe2\x82\xac\x1b\xc3\xa9", text, size);
        assert_string_equal(text, size < 4    ? ""
                                  : size < 8  ? "\xe2\x82\xac"
                                  : size < 10 ? "\xe2\x82\xac\\x1b"
                                              : "\xe2\x82\xac\\x1b\xc3\xa9");
        assert_int_equal(text[size], '#');
    }
    assert_string_equal(wg_printable("x", text, 0), "");
    assert_string_equal(wg_printable("x", NULL, 5), "");
}

/* ---- text ---- */

static void test_text(void)
{
    wg_text text;
    wg_error error = {0};
    put_file(in_folder("a"), "caf\xc3\xa9\n\ttea", 10);
    assert_int_equal(wg_text_read(in_folder("a"), &text, &error), WG_OK);
    assert_int_equal(text.size, 10);
    assert_string_equal(text.bytes, "caf\xc3\xa9\n\ttea");
    wg_text_fini(&text);

    put_file(in_folder("empty"), "", 0);
    assert_int_equal(wg_text_read(in_folder("empty"), &text, &error), WG_OK);
    assert_int_equal(text.size, 0);
    assert_string_equal(text.bytes, "");
    wg_text_fini(&text);

    size_t large = 300000;
    char *many = malloc(large);
    memset(many, 'x', large);
    put_file(in_folder("large"), many, large);
    assert_int_equal(wg_text_read(in_folder("large"), &text, &error), WG_OK);
    assert_int_equal(text.size, large);
    assert_memory_equal(text.bytes, many, large);
    wg_text_fini(&text);
    wg_text_fini(&text);
    free(many);
}

/* A copy of the text is mapped, decompressed if need be; an empty one is not. */
static void test_text_mapped(void)
{
    static const unsigned char packed[] = {0x1f, 0x8b, 8, 0,    0,    0,    0,    0, 2, 3, 0x4b, 0x4c,
                                           0x4a, 6,    0, 0xc2, 0x41, 0x24, 0x35, 3, 0, 0, 0}; /* "abc" */
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *whole = malloc(3 * page);
    memset(whole, 'y', 3 * page);
    wg_text text;
    wg_error error = {0};
    put_file(in_folder("page"), whole, page); /* no room for a NUL after it */
    assert_int_equal(wg_text_map(in_folder("page"), &text, &error), WG_OK);
    assert_true(text.mapped);
    assert_int_equal(text.size, page);
    assert_memory_equal(text.bytes, whole, page);
    wg_text_fini(&text);
    assert_null(text.bytes);
    put_file(in_folder("empty"), "", 0);
    assert_int_equal(wg_text_map(in_folder("empty"), &text, &error), WG_OK);
    assert_true(!text.mapped && text.size == 0);
    wg_text_fini(&text);
    put_file(in_folder("packed"), packed, sizeof packed);
#ifdef WG_HAVE_ZLIB
    assert_int_equal(wg_text_map(in_folder("packed"), &text, &error), WG_OK);
    assert_true(text.size == 3 && memcmp(text.bytes, "abc", 3) == 0);
    wg_text_fini(&text);
#endif
    put_file(in_folder("bad"), "ab\0c", 4);
    assert_int_equal(wg_text_map(in_folder("bad"), &text, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "byte 0x00 at offset 2");
    assert_null(text.bytes);
    error = (wg_error){0};
    assert_int_equal(wg_text_map(in_folder("none"), &text, &error), WG_ERR_IO);
    ASSERT_HAS(error.text, "No such file");
    free(whole);
}

/* A text that is cut while it is mapped keeps its bytes. */
static void case_text_cut_while_mapped(void)
{
    const size_t size = 5 * (size_t)sysconf(_SC_PAGESIZE);
    char *whole = malloc(size);
    memset(whole, 'y', size);
    put_file(in_folder("cut"), whole, size);
    wg_text text;
    assert_int_equal(wg_text_map(in_folder("cut"), &text, NULL), WG_OK);
    assert_int_equal(truncate(in_folder("cut"), 0), 0);
    assert_int_equal(text.size, size);
    assert_memory_equal(text.bytes, whole, size);
    wg_text_fini(&text);
    free(whole);
}

/* Without room for a copy, the text is read: each system call of the mapping fails in turn. */
static void test_text_map_faults(void)
{
    put_file(in_folder("t"), "some text", 9);
    for (long k = 3, done = 0; !done; k++) { /* calls 1 and 2 open the text itself */
        wg_text text;
        fault_begin(k, 0, false);
        wg_status status = wg_text_map(in_folder("t"), &text, NULL);
        done = fault.calls < k;
        fault_end();
        assert_int_equal(status, WG_OK);
        assert_true(text.size == 9 && memcmp(text.bytes, "some text", 9) == 0);
        wg_text_fini(&text);
    }
}

/* ---- pipes ---- */

/* A pipe that nobody writes to does not block; one with a writer is read. */
static void case_pipe_without_writer(void)
{
    wg_text text;
    wg_idx idx;
    for (int kind = 0; kind < 4; kind++) {
        wg_error error = {0};
        assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
        alarm(20); /* ends the test if it blocks */
        if (kind == 0) assert_int_equal(wg_text_read(in_folder("pipe"), &text, &error), WG_ERR_IO);
        if (kind == 1) assert_int_equal(wg_text_map(in_folder("pipe"), &text, &error), WG_ERR_IO);
        if (kind == 2) assert_int_equal(wg_idx_read(in_folder("pipe"), &idx, &error), WG_ERR_IO);
        if (kind == 3) assert_null(wg_safetensors_open(in_folder("pipe"), &error));
        alarm(0);
        ASSERT_HAS(error.text, kind == 3 ? "is a pipe: write it to a file" : "a pipe that nobody writes to");
        assert_int_equal(unlink(in_folder("pipe")), 0);
    }
    assert_int_equal(wg_file_write(folder, "x", 1, NULL), WG_ERR_IO);
    for (int slow = 0; slow < 2; slow++) {
        assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
        pid_t child = fork();
        if (child == 0) {
            FILE *out = fopen(in_folder("pipe"), "w");
            if (slow) usleep(1200000);
            fputs("through a pipe", out);
            fclose(out);
            _exit(0);
        }
        assert_int_equal(wg_text_read(in_folder("pipe"), &text, NULL), WG_OK);
        assert_string_equal(text.bytes, "through a pipe");
        wg_text_fini(&text);
        assert_int_equal(waitpid(child, NULL, 0), child);
        unlink(in_folder("pipe"));
    }
}

static void test_text_refused(void)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *reason;
    } rows[] = {{"ab\0c", 4, "byte 0x00 at offset 2"},
                {"\x1b[0m", 4, "byte 0x1b at offset 0"},
                {"del\x7f", 4, "byte 0x7f at offset 3"},
                {"latin \xe9", 7, "byte 0xe9 at offset 6"}};
    wg_text text;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_error error = {0};
        put_file(in_folder("t"), rows[i].bytes, rows[i].size);
        assert_int_equal(wg_text_read(in_folder("t"), &text, &error), WG_ERR_FORMAT);
        ASSERT_HAS(error.text, rows[i].reason);
        assert_null(text.bytes);
    }
    wg_error error = {0};
    assert_int_equal(wg_text_read(in_folder("none"), &text, &error), WG_ERR_IO);
    ASSERT_HAS(error.text, "No such file");
    error = (wg_error){0};
    assert_int_equal(wg_text_read(folder, &text, &error), WG_ERR_IO);
    ASSERT_HAS(error.text, "is a directory");
    error = (wg_error){0};
    assert_int_equal(wg_text_read("/dev/zero", &text, &error), WG_ERR_IO);
    ASSERT_HAS(error.text, "not a regular file");
    assert_int_equal(wg_text_read(NULL, &text, NULL), WG_ERR_ARGUMENT);
    assert_int_equal(wg_text_read("", &text, NULL), WG_ERR_ARGUMENT);
}

#ifdef WG_HAVE_ZLIB
static size_t gzip(const char *from, const char *to)
{
    char command[600];
    snprintf(command, sizeof command, "gzip -c '%s' > '%s'", from, to);
    assert_int_equal(system(command), 0);
    struct stat info;
    assert_int_equal(stat(to, &info), 0);
    return (size_t)info.st_size;
}

static void test_gzip(void)
{
    wg_text text;
    wg_error error = {0};
    put_file(in_folder("a"), "many words, many words, many words\n", 35);
    size_t size = gzip(in_folder("a"), in_folder("a.gz"));
    assert_int_equal(wg_text_read(in_folder("a.gz"), &text, &error), WG_OK);
    assert_int_equal(text.size, 35);
    wg_text_fini(&text);
    for (size_t cut = 3; cut < size; cut++) {
        error = (wg_error){0};
        assert_int_equal(truncate(in_folder("a.gz"), (off_t)(size - cut)), 0);
        if (cut + 2 < size) assert_int_equal(wg_text_read(in_folder("a.gz"), &text, &error), WG_ERR_FORMAT);
    }
}

/* 1 MB of gzip that becomes 1 GB is refused before that, and so is what exceeds the caller's limit. */
static void case_gzip_without_cap(void)
{
    char command[600];
    wg_text text;
    wg_idx idx;
    const struct {
        uint64_t limit;
        wg_status status;
    } rows[] = {{34, WG_ERR_FORMAT}, {35, WG_OK}, {1, WG_ERR_FORMAT}, {0, WG_OK}, {UINT64_MAX, WG_OK}};
    put_file(in_folder("a"), "many words, many words, many words\n", 35);
    gzip(in_folder("a"), in_folder("a.gz"));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int zipped = 0; zipped < 2; zipped++) {
            wg_error error = {0};
            const char *path = in_folder(zipped ? "a.gz" : "a");
            assert_int_equal(wg_text_read_limited(path, rows[i].limit, &text, &error), rows[i].status);
            if (rows[i].status != WG_OK) ASSERT_HAS(error.text, "wg_text_read_limited");
            wg_text_fini(&text);
        }
    snprintf(command, sizeof command, "head -c 100000000 /dev/zero | tr '\\0' 'a' | gzip -1 > '%s'",
             in_folder("bomb.gz"));
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command,
             "{ printf '\\000\\000\\010\\001\\005\\365\\341\\000'; head -c 100000000 /dev/zero; } | gzip -1 > '%s'",
             in_folder("idx.gz")); /* 100,000,000 bytes */
    assert_int_equal(system(command), 0);
    wg_error errors[3] = {{0}};
    fault_begin(0, 0, false);
    assert_int_equal(wg_text_read(in_folder("bomb.gz"), &text, &errors[0]), WG_ERR_FORMAT);
    assert_int_equal(wg_text_map(in_folder("bomb.gz"), &text, &errors[1]), WG_ERR_FORMAT);
    assert_int_equal(wg_idx_read(in_folder("idx.gz"), &idx, &errors[2]), WG_ERR_FORMAT);
    assert_true(fault.largest < (65 << 20));
    fault_end();
    ASSERT_HAS(errors[0].text, "wg_text_read_limited");
    ASSERT_HAS(errors[1].text, "wg_text_read_limited");
    ASSERT_HAS(errors[2].text, "wg_idx_read_limited");
    assert_int_equal(wg_idx_read_limited(in_folder("idx.gz"), 100000000, &idx, NULL), WG_OK);
    assert_int_equal(idx.shape.size[0], 100000000);
    wg_idx_fini(&idx);
    empty_folder();
}
#else
/* Not taken for a text or an IDX file with a strange first byte. */
static void test_gzip_refused(void)
{
    static const uint8_t packed[] = {0x1f, 0x8b, 8, 0};
    wg_text text;
    wg_idx idx;
    wg_error error = {0};
    put_file(in_folder("a.gz"), packed, sizeof packed);
    assert_int_equal(wg_text_read(in_folder("a.gz"), &text, &error), WG_ERR_FORMAT);
    ASSERT_HAS(error.text, "a.gz: gzipped, and this library was built without zlib");
    assert_int_equal(wg_idx_read(in_folder("a.gz"), &idx, NULL), WG_ERR_FORMAT);
}
#endif

/* ---- IDX ---- */

static void test_idx(void)
{
    const unsigned char bytes[] = {0, 0, 0x08, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255};
    const unsigned char floats[] = {0, 0, 0x0D, 1, 0, 0, 0, 2, 0x3F, 0x80, 0, 0, 0xC0, 0, 0, 0};
    const unsigned char shorts[] = {0, 0, 0x0B, 1, 0, 0, 0, 1, 0xFF, 0xFE};
    wg_idx idx;
    wg_error error = {0};
    put_file(in_folder("b"), bytes, sizeof bytes);
    assert_int_equal(wg_idx_read(in_folder("b"), &idx, &error), WG_OK);
    assert_int_equal(idx.type, WG_IDX_U8);
    assert_int_equal(idx.shape.rank, 2);
    assert_int_equal(idx.shape.size[1], 3);
    assert_true(wg_idx_at(&idx, 0) == 1 && wg_idx_at(&idx, 5) == 255);
    assert_true(wg_idx_at(&idx, 6) != wg_idx_at(&idx, 6) && wg_idx_at(&idx, -1) != wg_idx_at(&idx, -1));
    wg_idx_fini(&idx);
    put_file(in_folder("f"), floats, sizeof floats);
    assert_int_equal(wg_idx_read(in_folder("f"), &idx, &error), WG_OK);
    assert_true(wg_idx_at(&idx, 0) == 1 && wg_idx_at(&idx, 1) == -2);
    wg_idx_fini(&idx);
    put_file(in_folder("s"), shorts, sizeof shorts);
    assert_int_equal(wg_idx_read(in_folder("s"), &idx, &error), WG_OK);
    assert_true(wg_idx_at(&idx, 0) == -2);
    wg_idx_fini(&idx);

    const unsigned char wide[] = {0, 0, 0x0E, 1, 0, 0, 0, 1, 0xC0, 0, 0, 0, 0, 0, 0, 0};
    const unsigned char ints[] = {0, 0, 0x0C, 1, 0, 0, 0, 1, 0x80, 0, 0, 0};
    put_file(in_folder("d"), wide, sizeof wide);
    assert_int_equal(wg_idx_read(in_folder("d"), &idx, &error), WG_OK);
    assert_true(wg_idx_at(&idx, 0) == -2);
    wg_idx_fini(&idx);
    put_file(in_folder("i"), ints, sizeof ints);
    assert_int_equal(wg_idx_read(in_folder("i"), &idx, &error), WG_OK);
    assert_true(wg_idx_at(&idx, 0) == INT32_MIN);
    wg_idx_fini(&idx);

    for (size_t size = 0; size < sizeof bytes; size++) {
        error = (wg_error){0};
        put_file(in_folder("b"), bytes, size);
        assert_int_equal(wg_idx_read(in_folder("b"), &idx, &error), WG_ERR_FORMAT);
        ASSERT_HAS(error.text, "truncated");
        assert_null(idx.data);
    }
}

/* The same numbers, whatever the type in the file. */
static void test_idx_as(void)
{
    static const struct {
        unsigned char bytes[24];
        size_t size;
        double number;
    } rows[] = {{{0, 0, 0x08, 1, 0, 0, 0, 1, 200}, 9, 200},
                {{0, 0, 0x09, 1, 0, 0, 0, 1, 0xFE}, 9, -2},
                {{0, 0, 0x0B, 1, 0, 0, 0, 1, 0x80, 0}, 10, -32768},
                {{0, 0, 0x0C, 1, 0, 0, 0, 1, 0x7F, 0xFF, 0xFF, 0xFF}, 12, 2147483647},
                {{0, 0, 0x0D, 1, 0, 0, 0, 1, 0x3F, 0xC0, 0, 0}, 12, 1.5},
                {{0, 0, 0x0E, 1, 0, 0, 0, 1, 0xC0, 0, 0, 0, 0, 0, 0, 0}, 16, -2}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_idx idx;
        wg_error error = {0};
        put_file(in_folder("i"), rows[i].bytes, rows[i].size);
        assert_int_equal(wg_idx_read_as(in_folder("i"), WG_F32, 1 / 255.0, &idx, &error), WG_OK);
        assert_true(idx.type == WG_IDX_F32 && idx.shape.rank == 1 && idx.shape.size[0] == 1);
        assert_true(((const float *)idx.data)[0] == (float)(rows[i].number / 255));
        wg_idx_fini(&idx);
        assert_int_equal(wg_idx_read_as(in_folder("i"), WG_F64, 1, &idx, &error), WG_OK);
        assert_true(idx.type == WG_IDX_F64 && ((const double *)idx.data)[0] == rows[i].number);
        wg_idx_fini(&idx);
        const bool is_integer = i < 4;
        assert_int_equal(wg_idx_read_as(in_folder("i"), WG_I32, 1, &idx, &error),
                         is_integer ? WG_OK : WG_ERR_FORMAT);
        if (is_integer) assert_true(idx.type == WG_IDX_I32 && ((const int32_t *)idx.data)[0] == rows[i].number);
        if (!is_integer) ASSERT_HAS(error.text, "IDX file of floats");
        wg_idx_fini(&idx);
    }
    wg_idx idx;
    assert_int_equal(wg_idx_read_as(in_folder("i"), WG_I32, 2, &idx, NULL), WG_ERR_ARGUMENT);
    assert_int_equal(wg_idx_read_as(in_folder("i"), WG_BOOL, 1, &idx, NULL), WG_ERR_ARGUMENT);
    assert_int_equal(wg_idx_read_as(in_folder("none"), WG_F32, 1, &idx, NULL), WG_ERR_IO);
    assert_null(idx.data);
}

static void test_idx_refused(void)
{
    static const struct {
        unsigned char bytes[24];
        size_t size;
        const char *reason;
    } rows[] = {{{0, 0, 0x08, 1, 0, 0, 0, 1, 7, 7}, 10, "longer than its header"},
                {{1, 0, 0x08, 1, 0, 0, 0, 1, 7}, 9, "not an IDX file"},
                {{0, 0, 0x0A, 1, 0, 0, 0, 1, 7}, 9, "not an IDX file"},
                {{0, 0, 0x08, 0, 7}, 5, "rank 0"},
                {{0, 0, 0x08, 9, 7}, 5, "rank 9"},
                {{0, 0, 0x08, 1, 255, 255, 255, 255, 7}, 9, "shorter than its header says"},
                {{0, 0, 0x0E, 4, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255},
                 20,
                 "shorter than its header says"}};
    wg_idx idx;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_error error = {0};
        put_file(in_folder("r"), rows[i].bytes, rows[i].size);
        assert_int_equal(wg_idx_read(in_folder("r"), &idx, &error), WG_ERR_FORMAT);
        ASSERT_HAS(error.text, rows[i].reason);
    }
}

/* A file that asks for much more than it holds: the memory is at most the file's size plus a constant. */
static void case_idx_asks_memory(void)
{
    const size_t size = 1 << 20;
    unsigned char *bytes = calloc(1, size);
    const unsigned char head[] = {0, 0, 0x08, 2, 0, 0, 0x80, 0, 0, 0, 0x80, 0}; /* 1 GB */
    memcpy(bytes, head, sizeof head);
    wg_idx idx;
    for (int zipped = 0; zipped < 2; zipped++) {
        put_file(in_folder("i"), bytes, size);
#ifdef WG_HAVE_ZLIB
        gzip(in_folder("i"), in_folder("i.gz"));
#else
        put_file(in_folder("i.gz"), bytes, size);
#endif
        fault_begin(0, 0, false);
        wg_error error = {0};
        assert_int_equal(wg_idx_read(in_folder(zipped ? "i.gz" : "i"), &idx, &error), WG_ERR_FORMAT);
        ASSERT_HAS(error.text, "truncated");
        assert_true(fault.largest < 3 << 20);
        fault_end();
        bytes[6] = 0x04; /* 32 MB: within the limit of a gzipped file, but only 1 MB is there */
    }
    free(bytes);
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(test_crc32),
        TEST_CASE(test_utf8),
        TEST_CASE(test_path_is_below),
        TEST_CASE(test_printable),
        TEST_CASE(test_text),
        TEST_CASE(test_text_mapped),
        TEST_CASE(case_text_cut_while_mapped),
        TEST_CASE(test_text_map_faults),
        TEST_CASE(case_pipe_without_writer),
        TEST_CASE(test_text_refused),
#ifdef WG_HAVE_ZLIB
        TEST_CASE(test_gzip),
        TEST_CASE(case_gzip_without_cap),
#else
        TEST_CASE(test_gzip_refused),
#endif
        TEST_CASE(test_idx),
        TEST_CASE(test_idx_as),
        TEST_CASE(test_idx_refused),
        TEST_CASE(case_idx_asks_memory),
    };
    make_folder();
    int failed = RUN_TESTS(tests);
    remove_folder();
    return failed;
}
