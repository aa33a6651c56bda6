/* Text and IDX files: accepted and refused input; where files may be written. */
#include "test_io.h"

#include <sys/stat.h>
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

/* A text is mapped; a file that cannot be mapped is read. */
static void test_text_mapped(void)
{
    static const unsigned char packed[] = {0x1f, 0x8b, 8, 0,    0,    0,    0,    0, 2, 3, 0x4b, 0x4c,
                                           0x4a, 6,    0, 0xc2, 0x41, 0x24, 0x35, 3, 0, 0, 0}; /* "abc" */
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *whole = malloc(page);
    memset(whole, 'y', page);
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
    assert_true(!text.mapped && text.size == 3);
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

/* ---- writing under faults ---- */

static void test_write_places(void)
{
    wg_error error = {0};
    char linked[256];
    empty_folder();
    assert_int_equal(wg_file_write("/dev/full", "x", 1, &error), WG_ERR_IO);
    ASSERT_HAS(error.text, "not a regular file");
    error = (wg_error){0};
    assert_int_equal(wg_file_write(folder, "x", 1, &error), WG_ERR_IO);
    ASSERT_HAS(error.text, "is a directory");
    error = (wg_error){0};
    assert_int_equal(wg_file_write(in_folder("no/file"), "x", 1, &error), WG_ERR_IO);
    ASSERT_HAS(error.text, "No such file");
    assert_int_equal(wg_file_write("", "x", 1, NULL), WG_ERR_ARGUMENT);

    put_file(in_folder("real"), "old", 3);
    strcpy(linked, in_folder("link"));
    assert_int_equal(symlink(in_folder("real"), linked), 0);
    assert_int_equal(wg_file_write(linked, "new text", 8, &error), WG_OK);
    struct stat info;
    assert_int_equal(lstat(linked, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    size_t size;
    char *bytes = get_file(in_folder("real"), &size);
    assert_string_equal(bytes, "new text");
    free(bytes);
    assert_int_equal(chmod(linked, 0600), 0); /* permissions are kept */
    assert_int_equal(wg_file_write(linked, "private", 7, &error), WG_OK);
    assert_int_equal(stat(linked, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(count_files(), 2);
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(test_crc32), TEST_CASE(test_utf8),        TEST_CASE(test_printable),
        TEST_CASE(test_text),  TEST_CASE(test_text_mapped), TEST_CASE(test_text_refused),
#ifdef WG_HAVE_ZLIB
        TEST_CASE(test_gzip),
#endif
        TEST_CASE(test_idx),   TEST_CASE(test_idx_refused), TEST_CASE(test_write_places),
    };
    make_folder();
    int failed = RUN_TESTS(tests);
    remove_folder();
    return failed;
}
