/* A matrix of numbers from 0 to 1 as an SVG, and as a CSV file. */
#include "app.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Closes the memory stream and writes its contents to the file. */
static wg_status finish(const char *path, FILE *out, char **text, size_t *size, wg_error *error)
{
    bool written = !ferror(out);
    written = fclose(out) == 0 && written;
    wg_status status = written ? wg_file_write(path, *text, *size, error)
                               : wg_error_set(error, WG_ERR_MEMORY, "%s: out of memory", path);
    free(*text);
    return status;
}

/* ---- a picture ---- */

enum { CELL = 24, MARGIN = 120, TOP = 150 };

void app_put_svg(FILE *out, const char *text)
{
    const size_t size = 4 * strlen(text) + 1;
    char *shown = app_room((int64_t)size, 1);
    for (const char *c = wg_printable(text, shown, size); *c; c++) {
        if (*c == '&')
            fputs("&amp;", out);
        else if (*c == '<')
            fputs("&lt;", out);
        else if (*c == '>')
            fputs("&gt;", out);
        else
            fputc(*c, out);
    }
    free(shown);
}

static void put_words(FILE *out, int n, const char *const *words, bool columns)
{
    for (int i = 0; i < n; i++) {
        int along = i * CELL + CELL / 2;
        if (columns)
            fprintf(out, "<text transform=\"translate(%d,%d) rotate(-60)\">", MARGIN + along + 4, TOP - 6);
        else
            fprintf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", MARGIN - 6, TOP + along + 4);
        app_put_svg(out, words[i]);
        fputs("</text>\n", out);
    }
}

wg_status app_matrix_write(const char *path, const char *title, int rows, int cols, const char *const *row_words,
                           const char *const *col_words, const float *numbers, wg_error *error)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return wg_error_set(error, WG_ERR_MEMORY, "%s: out of memory", path);
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
            "font-size=\"12\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n<text x=\"10\" y=\"20\" "
            "font-size=\"14\">",
            MARGIN + cols * CELL + 60, TOP + rows * CELL + 20);
    app_put_svg(out, title);
    fputs("</text>\n", out);
    put_words(out, rows, row_words, false);
    put_words(out, cols, col_words, true);
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++) {
            const double number = (double)numbers[r * cols + c];
            const int grey = 255 - (int)(255 * (number > 0 ? fmin(number, 1) : 0));
            fprintf(out,
                    "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"rgb(%d,%d,%d)\" stroke=\"#ddd\"/>\n",
                    MARGIN + c * CELL, TOP + r * CELL, CELL, CELL, grey, grey, grey);
        }
    fputs("</svg>\n", out);
    return finish(path, out, &text, &size, error);
}

/* ---- comma-separated ---- */

/* Quoted where RFC 4180, 2.6 and 2.7, requires it. */
static void put_field(FILE *out, const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"') fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

wg_status app_matrix_write_csv(const char *path, int rows, int cols, const char *const *row_words,
                               const char *const *col_words, const float *numbers, wg_error *error)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return wg_error_set(error, WG_ERR_MEMORY, "%s: out of memory", path);
    for (int c = 0; c < cols; c++) {
        fputc(',', out);
        put_field(out, col_words[c]);
    }
    fputc('\n', out);
    for (int r = 0; r < rows; r++) {
        put_field(out, row_words[r]);
        for (int c = 0; c < cols; c++) fprintf(out, ",%.9g", (double)numbers[r * cols + c]);
        fputc('\n', out);
    }
    return finish(path, out, &text, &size, error);
}
