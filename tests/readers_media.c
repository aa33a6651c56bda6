/* The readers of data sets from strangers: CSV, pictures, sound, each with its contract. */
#include "readers.h"

#include <stdlib.h>
#include <string.h>

#include "../io/file.h"
#include "check.h"
#include "wengert.h"

/* ---- CSV ---- */

typedef struct growing {
    char *bytes;
    size_t size, room;
} growing;

static void put(growing *g, char c)
{
    if (g->size == g->room) g->bytes = realloc(g->bytes, g->room = 2 * g->room + 64);
    g->bytes[g->size++] = c;
}

static void put_field(growing *g, const char *text, char end)
{
    put(g, '"');
    for (; *text; text++) {
        if (*text == '"') put(g, '"');
        put(g, *text);
    }
    put(g, '"');
    put(g, end);
}

/* Names are sorted, indices are theirs, and -1 is what the mask says. */
static const char *check_column(wg_csv *csv, const wg_categories *c, const bool *present, bool allow_missing)
{
    for (int64_t i = 1; i < c->n; i++)
        if (strcmp(c->names[i - 1], c->names[i]) >= 0) return "categories that are not sorted";
    for (int64_t row = 0; row < wg_csv_rows(csv); row++) {
        if (c->index[row] < -1 || c->index[row] >= c->n) return "an index out of range";
        if ((c->index[row] >= 0) != present[row]) return "another mask than the categories'";
        if (c->index[row] < 0 && !allow_missing) return "a missing category without permission";
    }
    return NULL;
}

/* The table as text with quotes around each field. NULL, with *broken, if a column breaks its contract. */
static char *table_text(wg_csv *csv, size_t *size, const char **broken)
{
    const int64_t columns = wg_csv_columns(csv), rows = wg_csv_rows(csv);
    const wg_categories **c = calloc((size_t)columns, sizeof *c);
    growing g = {0};
    for (int64_t i = 0; i < columns; i++) {
        growing quoted = {0};
        put_field(&quoted, wg_csv_name(csv, i), 0);
        const bool *present = wg_csv_present(csv, quoted.bytes, NULL);
        c[i] = wg_csv_categories(csv, wg_csv_name(csv, i), NULL, NULL);
        if (!present || !c[i]) *broken = "a column that cannot be read";
        if (!*broken) *broken = check_column(csv, c[i], present, true);
        put_field(&g, wg_csv_name(csv, i), i + 1 < columns ? ',' : '\n');
        free(quoted.bytes);
    }
    for (int64_t row = 0; row < rows && !*broken; row++)
        for (int64_t i = 0; i < columns; i++)
            put_field(&g, c[i]->index[row] < 0 ? "" : c[i]->names[c[i]->index[row]], i + 1 < columns ? ',' : '\n');
    free(c);
    *size = g.size;
    return g.bytes;
}

static const char *same_tables(wg_csv *a, wg_csv *b)
{
    if (wg_csv_rows(a) != wg_csv_rows(b) || wg_csv_columns(a) != wg_csv_columns(b)) return "another size";
    for (int64_t i = 0; i < wg_csv_columns(a); i++) {
        const wg_categories *x = wg_csv_categories(a, wg_csv_name(a, i), NULL, NULL);
        const wg_categories *y = wg_csv_categories(b, wg_csv_name(a, i), NULL, NULL);
        if (!x || !y || x->n != y->n) return "other categories";
        for (int64_t k = 0; k < x->n; k++)
            if (strcmp(x->names[k], y->names[k]) != 0) return "another category";
        if (memcmp(x->index, y->index, (size_t)wg_csv_rows(a) * sizeof *x->index) != 0) return "other indices";
    }
    return NULL;
}

/* The first byte chooses the options. An accepted file, written anew with quotes around each field, is the same
 * table. */
const char *csv_read(const unsigned char *bytes, size_t size, bool *accepted)
{
    *accepted = false;
    if (size == 0) return NULL;
    wg_csv_options options = wg_csv_defaults(), plain = wg_csv_defaults();
    wg_error error = {0}, number = {0};
    options.separator = ",;|\t"[bytes[0] & 3];
    options.trim = bytes[0] & 4;
    options.allow_missing = plain.allow_missing = true;
    plain.missing = "";
    wg_csv *csv = wg_csv_open(as_file(bytes + 1, size - 1), options, &error);
    *accepted = csv != NULL;
    if (!csv) return refused(&error);
    const char *broken = NULL;
    const float *x = wg_csv_numbers(csv, NULL, &number);
    const bool *present = wg_csv_present(csv, NULL, NULL);
    const int64_t n = wg_csv_rows(csv) * wg_csv_columns(csv);
    if (!present || (!x && !number.text[0])) broken = "no numbers, and no reason";
    for (int64_t i = 0; i < n && x && !broken; i++)
        if (isinf(x[i]) || isnan(x[i]) == present[i]) broken = "a number that the mask does not have";
    size_t length = 0;
    char *text = broken ? NULL : table_text(csv, &length, &broken);
    wg_csv *again = broken ? NULL : wg_csv_open(as_file((unsigned char *)text, length), plain, &error);
    if (!broken) broken = again ? same_tables(csv, again) : "a table that cannot be read back";
    free(text);
    wg_csv_close(again);
    wg_csv_close(csv);
    return broken;
}

/* ---- pictures ---- */

static const char *picture_read(const unsigned char *bytes, size_t size, bool *accepted)
{
    enum { LIMIT = 1 << 18 };
    wg_picture picture;
    wg_picture_options options = {.channels = size % 4 == 1 ? 1 : size % 4 == 3 ? 3 : 0, .limit = LIMIT};
    wg_error error = {0};
    *accepted = wg_picture_read(as_file(bytes, size), options, &picture, &error) == WG_OK;
    if (!*accepted) return picture.pixels ? "refused with pixels" : refused(&error);
    const int64_t n = picture.channels * picture.height * picture.width;
    const char *broken = n < 1 || n > LIMIT ? "a size out of range" : NULL;
    if (options.channels ? picture.channels != options.channels : picture.channels != 1 && picture.channels != 3)
        broken = "another number of channels";
    float *numbers = broken ? NULL : malloc((size_t)n * sizeof *numbers);
    if (numbers) wg_picture_floats(&picture, numbers);
    for (int64_t i = 0; numbers && i < n; i++)
        if (!(numbers[i] >= 0 && numbers[i] <= 1)) broken = "a number out of range";
    free(numbers);
    wg_picture_fini(&picture);
    return broken;
}

/* Corrects the checksum of each chunk, so that edits get past it: length, type, data, CRC-32 of type and data. */
static void repair_png(unsigned char *bytes, size_t size)
{
    for (size_t at = 8; size >= 12 && at <= size - 12;) {
        const size_t length = (size_t)bytes[at] << 24 | (size_t)bytes[at + 1] << 16 | (size_t)bytes[at + 2] << 8 |
                              (size_t)bytes[at + 3];
        if (length > size - 12 - at) return;
        const uint32_t crc = wg__crc32(0, bytes + at + 4, length + 4);
        for (int i = 0; i < 4; i++) bytes[at + 8 + length + (size_t)i] = (unsigned char)(crc >> (24 - 8 * i));
        at += 12 + length;
    }
}

const char *png_read(const unsigned char *bytes, size_t size, bool *accepted)
{
    unsigned char *copy = malloc(size + 1);
    if (size) memcpy(copy, bytes, size);
    repair_png(copy, size);
    const char *broken = picture_read(copy, size, accepted);
    free(copy);
    return broken;
}

const char *jpeg_read(const unsigned char *bytes, size_t size, bool *accepted)
{
    return picture_read(bytes, size, accepted);
}

/* ---- sound ---- */

const char *wav_read(const unsigned char *bytes, size_t size, bool *accepted)
{
    wg_sound sound;
    wg_error error = {0};
    *accepted = wg_sound_read(as_file(bytes, size), 1 << 20, &sound, &error) == WG_OK;
    if (!*accepted) return sound.samples ? "refused with samples" : refused(&error);
    const char *broken = NULL;
    if (sound.channels < 1 || sound.frames < 0 || (size_t)(sound.channels * sound.frames) > size) broken = "a size";
    unsigned sum = 0;
    for (int64_t i = 0; !broken && i < sound.channels * sound.frames; i++) {
        unsigned bits;
        memcpy(&bits, &sound.samples[i], sizeof bits);
        sum += bits;
    }
    if (sum == 1) sum = 0; /* every sample was read */
    wg_sound_fini(&sound);
    return broken;
}
