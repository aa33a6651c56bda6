/* CSV files (io/csv.h): values, quotes, missing values, what is refused and where, failing allocations. */
#include "random.h"
#include "test_io.h"

static wg_csv *open_text(const char *text, wg_csv_options options, wg_error *error)
{
    put_file(in_folder("t.csv"), text, strlen(text));
    return wg_csv_open(in_folder("t.csv"), options, error);
}

static wg_csv *open_plain(const char *text)
{
    wg_error error = {0};
    wg_csv *csv = open_text(text, wg_csv_defaults(), &error);
    if (!csv) fail_msg("%s", error.text);
    return csv;
}

/* ---- values ---- */

static void numbers(void)
{
    wg_error error = {0};
    wg_csv *csv = open_plain("a,b,\"c, d\"\n1,-2.5,3e2\r\n.5,+7.,1E-3\n\n 4 ,\t5,\"6\"");
    assert_int_equal(wg_csv_rows(csv), 3);
    assert_int_equal(wg_csv_columns(csv), 3);
    assert_string_equal(wg_csv_name(csv, 2), "c, d");
    assert_int_equal(wg_csv_find(csv, "b"), 1);
    assert_int_equal(wg_csv_find(csv, "B"), -1);
    assert_null(wg_csv_name(csv, 3));
    const float *all = wg_csv_numbers(csv, NULL, &error), *two = wg_csv_numbers(csv, "\"c, d\",a", &error);
    const float expected[9] = {1, -2.5f, 300, 0.5f, 7, 1e-3f, 4, 5, 6}, swapped[6] = {300, 1, 1e-3f, 0.5f, 6, 4};
    assert_int_equal(error.status, WG_OK);
    assert_memory_equal(all, expected, sizeof expected);
    assert_memory_equal(two, swapped, sizeof swapped);
    wg_csv_close(csv);
}

static void categories(void)
{
    wg_error error = {0};
    wg_csv *csv = open_plain(
        "\xef\xbb\xbfname,n\nb,1\n\"say \"\"a\"\"\",2\n\"b\",3\n\"two\nlines\",4\n\"\"\"\",5\n\xc3\xa9,6\n");
    const wg_categories *c = wg_csv_categories(csv, "name", NULL, &error);
    const char *const names[] = {"\"", "b", "say \"a\"", "two\nlines", "\xc3\xa9"};
    const int32_t index[] = {1, 2, 1, 3, 0, 4};
    assert_non_null(c);
    assert_int_equal(c->n, 5);
    for (int i = 0; i < 5; i++) assert_string_equal(c->names[i], names[i]);
    assert_memory_equal(c->index, index, sizeof index);
    wg_csv_close(csv);

    const char *const known_names[] = {"a", "b", "c"};
    const wg_categories known = {.n = 3, .names = known_names};
    csv = open_plain("x\nc\nb\nc\n");
    c = wg_csv_categories(csv, "x", &known, &error);
    const int32_t among[] = {2, 1, 2};
    assert_memory_equal(c->index, among, sizeof among);
    const char *const wrong_order[] = {"b", "a"};
    assert_null(wg_csv_categories(csv, "x", &(wg_categories){.n = 2, .names = wrong_order}, &error));
    ASSERT_HAS(error.text, "sorted");
    error = (wg_error){0};
    assert_null(wg_csv_categories(csv, "x", &(wg_categories){.n = 2, .names = known_names}, &error));
    ASSERT_HAS(error.text, "line 2, column 1 (x): 'c' is none of the known categories");
    wg_csv_close(csv);
}

static void missing_values(void)
{
    static const char text[] = "x,y\n1,NA\n,red\n\"\",\"NA\"\nnan,-\n";
    wg_error error = {0};
    wg_csv *csv = open_plain(text);
    assert_null(wg_csv_numbers(csv, "x", &error));
    ASSERT_HAS(error.text, "t.csv: line 3, column 1 (x): the value is missing");
    error = (wg_error){0};
    assert_null(wg_csv_categories(csv, "y", NULL, &error));
    ASSERT_HAS(error.text, "line 2, column 2 (y): the value is missing");
    wg_csv_close(csv);

    wg_csv_options options = wg_csv_defaults();
    options.allow_missing = true;
    error = (wg_error){0};
    csv = open_text(text, options, &error);
    const float *x = wg_csv_numbers(csv, "x", &error);
    assert_true(x[0] == 1 && isnan(x[1]) && isnan(x[2]) && isnan(x[3]));
    const wg_categories *y = wg_csv_categories(csv, "y", NULL, &error);
    const int32_t index[] = {-1, 2, 1, 0};
    assert_memory_equal(y->index, index, sizeof index);
    const bool *present = wg_csv_present(csv, "y,x", &error);
    const bool expected[] = {false, true, true, false, true, false, true, false};
    assert_memory_equal(present, expected, sizeof expected);
    wg_csv_close(csv);

    options.missing = "-,?";
    csv = open_text("x\n-\n?\n1\n", options, &error);
    x = wg_csv_numbers(csv, "x", &error);
    assert_true(isnan(x[0]) && isnan(x[1]) && x[2] == 1);
    wg_csv_close(csv);
    assert_int_equal(error.status, WG_OK);
}

static void separators_and_blanks(void)
{
    wg_csv_options options = wg_csv_defaults();
    wg_error error = {0};
    options.trim = true;
    for (const char *s = ",;|\t"; *s; s++) {
        char text[] = " a ,b\n 1,x y \n2 , z\n";
        for (char *p = text; *p; p++)
            if (*p == ',') *p = *s;
        options.separator = *s;
        wg_csv *csv = open_text(text, options, &error);
        assert_non_null(csv);
        assert_int_equal(wg_csv_find(csv, "a"), 0);
        const wg_categories *b = wg_csv_categories(csv, "b", NULL, &error);
        assert_string_equal(b->names[0], "x y");
        assert_string_equal(b->names[1], "z");
        wg_csv_close(csv);
    }
    options.separator = '.';
    assert_null(open_text("a\n", options, &error));
    assert_int_equal(error.status, WG_ERR_ARGUMENT);
}

static void no_rows(void)
{
    wg_error error = {0};
    wg_csv *csv = open_plain("a,b");
    assert_int_equal(wg_csv_rows(csv), 0);
    assert_non_null(wg_csv_numbers(csv, NULL, &error));
    assert_int_equal(wg_csv_categories(csv, "a", NULL, &error)->n, 0);
    wg_csv_close(csv);
}

/* ---- what is refused ---- */

static void refused(void)
{
    static const struct {
        const char *text, *reason;
    } files[] = {{"", "the file is empty"},
                 {"\n\r\n", "the file is empty"},
                 {"a,b,a\n", "line 1: two columns are named 'a'"},
                 {"a,b\n1,2\n3\n", "line 3 has fewer than 2 fields"},
                 {"a,b\n1,2,3\n", "line 2 has more than 2 fields"},
                 {"a\n\"x\n\n", "line 2, column 1 (a): a quote that is not closed"},
                 {"a,b\n1,x\"y\n", "line 2, column 2 (b): a quote inside of a field that is not quoted"},
                 {"a,b\n\"x\"y,1\n", "line 2, column 1 (a): text behind a closing quote"},
                 {"a,\"b\n", "line 1, column 2: a quote that is not closed"},
                 {"a,b\n\"x\ny\",1\n\n\n3\n", "line 6 has fewer than 2 fields"},
                 {"a\n1\r2\n", "line 2, column 1 (a): a carriage return"},
                 {"a\n\x01\n", "not a text file: byte 0x01"}},
      columns[] = {{"x", "line 4, column 1 (x): 'one' is not a number"},
                   {"y", "line 3, column 2 (y): '0x10' is not"},
                   {"z", "line 2, column 3 (z): 'inf' is not a number"},
                   {"w", "line 2, column 4 (w): 1e39 is too large"},
                   {"none", "line 1: there is no column 'none'"},
                   {"", "'' is no list of columns"},
                   {"v,v", "column 'v' is asked for twice"},
                   {"v,\"", "is no list of columns"},
                   {"v\nu", "there is no column 'u'"},
                   {"u", "'1 2' is not a number"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        wg_error error = {0};
        assert_null(open_text(files[i].text, wg_csv_defaults(), &error));
        assert_int_equal(error.status, WG_ERR_FORMAT);
        ASSERT_HAS(error.text, files[i].reason);
        assert_null(strchr(error.text, '\n'));
    }
    wg_csv *csv = open_plain("x,y,z,w,v,u\n1,2,inf,1e39,1,1 2\n\"2\",0x10,1,1,1,1\none,1,1,1,1,1\n");
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        wg_error error = {0};
        assert_null(wg_csv_numbers(csv, columns[i].text, &error));
        ASSERT_HAS(error.text, columns[i].reason);
    }
    wg_csv_close(csv);
    wg_error error = {0};
    assert_null(wg_csv_open(in_folder("none.csv"), wg_csv_defaults(), &error));
    assert_int_equal(error.status, WG_ERR_IO);
    error = (wg_error){0};
    wg_csv_options short_limit = wg_csv_defaults();
    short_limit.limit = 5;
    assert_null(open_text("a\n1\n2\n", short_limit, &error));
    assert_int_equal(error.status, WG_ERR_FORMAT);
    /* one error for a chain of calls */
    error = (wg_error){0};
    csv = wg_csv_open(NULL, wg_csv_defaults(), &error);
    assert_null(wg_csv_numbers(csv, "x", &error));
    assert_null(wg_csv_categories(csv, "x", NULL, &error));
    ASSERT_HAS(error.text, "no file name");
}

/* What strtof reads, and a CSV must not hold. */
static void not_numbers(void)
{
    static const char *const texts[] = {"1e",  "1e+", ".",      "-",    "+.e3", "1.2.3", "--1",      "1,5",  "0x1",
                                        "inf", "NAN", "nan(1)", "1e5x", "x1",   "1 2",   "infinity", "1'000"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char text[64];
        wg_error error = {0};
        snprintf(text, sizeof text, "x,y\n\"%s\",1\n", texts[i]);
        wg_csv *csv = open_plain(text);
        if (wg_csv_numbers(csv, "x", &error)) fail_msg("%s", texts[i]);
        ASSERT_HAS(error.text, "is not a number");
        wg_csv_close(csv);
    }
}

/* A header of a megabyte: neither its memory nor its time is more than linear. */
static void too_many_columns(void)
{
    wg_error error = {0};
    char *text = malloc(1 << 20);
    memset(text, ',', (1 << 20) - 1);
    text[(1 << 20) - 1] = 0;
    fault_begin(0, 0, false);
    assert_null(open_text(text, wg_csv_defaults(), &error));
    assert_true(fault.largest < 3 << 20);
    fault_end();
    ASSERT_HAS(error.text, "more than 65536 columns");
    free(text);
}

/* The memory of a file of short lines stays within what the header of csv.h says. */
static void memory_is_bounded(void)
{
    enum { ROWS = 1 << 18 };
    char *text = malloc(2 * ROWS + 3);
    strcpy(text, "a\n");
    for (int i = 0; i < ROWS; i++) memcpy(text + 2 + 2 * i, i % 2 ? "1\n" : "2\n", 2);
    text[2 + 2 * ROWS] = 0;
    wg_error error = {0};
    fault_begin(0, 0, false);
    wg_csv *csv = open_text(text, wg_csv_defaults(), &error);
    assert_true(fault.largest <= 2 * ROWS + 100);
    assert_non_null(wg_csv_numbers(csv, "a", &error));
    assert_true(fault.largest <= 4 * ROWS + 100);
    assert_int_equal(wg_csv_categories(csv, "a", NULL, &error)->n, 2);
    assert_true(fault.largest <= 16 * ROWS + 100);
    fault_end();
    wg_csv_close(csv);
    free(text);
}

/* Each allocation fails in turn: an error, nothing leaks, and the same table afterwards. */
static void allocations_fail(void)
{
    wg_csv_options options = wg_csv_defaults();
    options.allow_missing = true;
    static const char text[] = "a,b\n1,x\n2,\n,\"y\"\"\"\n";
    put_file(in_folder("t.csv"), text, strlen(text));
    long k = 1;
    for (bool done = false; !done; k++) {
        wg_error error = {0};
        fault_begin(0, k, false);
        wg_csv *csv = wg_csv_open(in_folder("t.csv"), options, &error);
        const float *x = csv ? wg_csv_numbers(csv, "a", &error) : NULL;
        const bool *p = x ? wg_csv_present(csv, NULL, &error) : NULL;
        const wg_categories *c = p ? wg_csv_categories(csv, "b", NULL, &error) : NULL;
        done = fault.allocations < k;
        fault_end();
        assert_true(c != NULL || error.status == WG_ERR_MEMORY);
        assert_true(!done || (c && c->n == 2 && x[1] == 2));
        wg_csv_close(csv);
    }
    assert_true(k > 10);
}

/* ---- random tables ---- */

enum { MOST_ROWS = 12, MOST_COLUMNS = 5, MOST_TEXT = 6 };

static void put_field(FILE *out, const char *text)
{
    const bool quotes = below(3) == 0 || !*text || strpbrk(text, ",\"\n");
    if (quotes) fputc('"', out);
    for (; *text; text++) fprintf(out, *text == '"' ? "\"\"" : "%c", *text);
    if (quotes) fputc('"', out);
}

/* A random table, written with and without quotes and with both ends of lines, is read as it was. */
static void one_table(uint64_t seed)
{
    char text[MOST_ROWS][MOST_COLUMNS][MOST_TEXT + 1];
    random_state = seed;
    const int64_t rows = below(MOST_ROWS + 1), columns = 1 + below(MOST_COLUMNS);
    FILE *out = fopen(in_folder("r.csv"), "wb");
    for (int64_t c = 0; c < columns; c++) fprintf(out, c ? ",c%d" : "c%d", (int)c);
    for (int64_t r = 0; r < rows; r++) {
        fputs(below(2) ? "\n" : "\r\n", out);
        for (int64_t c = 0; c < columns; c++) {
            const int64_t size = 1 + below(MOST_TEXT);
            for (int64_t i = 0; i < size; i++) text[r][c][i] = "ab,\" \n1"[below(7)];
            text[r][c][size] = 0;
            if (c) fputc(',', out);
            put_field(out, text[r][c]);
        }
    }
    fclose(out);
    wg_error error = {0};
    wg_csv *csv = wg_csv_open(in_folder("r.csv"), wg_csv_defaults(), &error);
    if (!CHECK(csv && wg_csv_rows(csv) == rows && wg_csv_columns(csv) == columns)) printf("%s\n", error.text);
    for (int64_t c = 0; csv && c < columns; c++) {
        const wg_categories *k = wg_csv_categories(csv, wg_csv_name(csv, c), NULL, &error);
        if (!CHECK(k)) break;
        for (int64_t r = 0; r < rows; r++) CHECK(strcmp(k->names[k->index[r]], text[r][c]) == 0);
        for (int64_t i = 1; i < k->n; i++) CHECK(strcmp(k->names[i - 1], k->names[i]) < 0);
    }
    wg_csv_close(csv);
}

static void random_tables(void) { check_rounds(2000, one_table); }

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(numbers),           TEST_CASE(categories),
                                 TEST_CASE(missing_values),    TEST_CASE(separators_and_blanks),
                                 TEST_CASE(no_rows),           TEST_CASE(refused),
                                 TEST_CASE(not_numbers),       TEST_CASE(too_many_columns),
                                 TEST_CASE(memory_is_bounded), TEST_CASE(allocations_fail),
                                 TEST_CASE(random_tables)};
    make_folder();
    const int failed = RUN_TESTS(tests);
    remove_folder();
    return failed;
}
