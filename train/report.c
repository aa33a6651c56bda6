/* What a report is told: results, settings and exhibits, each turned to HTML at once. */
#include "report.h"

#include "../io/png_write.h"
#include "page.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the object ---- */

wg_report *wg_report_new(const char *title)
{
    wg_report *report = wg__is_name(title) ? calloc(1, sizeof *report) : NULL;
    if (report) strcpy(report->title, title);
    return report;
}

void wg_report_free(wg_report *report)
{
    if (!report) return;
    wg__curves_free(report);
    wg__bytes_fini(&report->results);
    wg__bytes_fini(&report->settings);
    wg__bytes_fini(&report->exhibits);
    wg__bytes_fini(&report->run);
    free(report);
}

/* ---- results and settings ---- */

static wg_status put_pair(wg_report *report, wg__bytes *section, const char *what, const char *name,
                          const char *text)
{
    wg_status status = WG_OK;
    if (!wg__report_begin(report, what, name, &status)) return status;
    if (!text) return wg__report_fail(report, WG_ERR_ARGUMENT, "%s %.80s: text is NULL", what, name);
    wg__bytes_print(section, "<div><dt>");
    wg__put_text(section, name, false);
    wg__bytes_print(section, "</dt><dd>");
    wg__put_text(section, text, false);
    wg__bytes_print(section, "</dd></div>\n");
    return wg__report_end(report, section);
}

wg_status wg_report_setting(wg_report *report, const char *name, const char *text)
{
    return put_pair(report, report ? &report->settings : NULL, "setting", name, text);
}

wg_status wg_report_result(wg_report *report, const char *name, const char *text)
{
    return put_pair(report, report ? &report->results : NULL, "result", name, text);
}

/* ---- exhibits ---- */

/* Opens a group unless the last exhibit is of the same kind and heading; then a figure. */
static bool exhibit_begin(wg_report *report, wg__exhibit kind, const char *heading, const char *caption,
                          wg_status *status)
{
    static const char *const classes[] = {"", "texts", "pictures", "matrices"};
    if (!wg__report_begin(report, "heading", heading, status)) return false;
    if (!caption) {
        *status = wg__report_fail(report, WG_ERR_ARGUMENT, "%.80s: caption is NULL", heading);
        return false;
    }
    wg__bytes *out = &report->exhibits;
    if (report->open != kind || strcmp(report->heading, heading) != 0) {
        if (report->open) wg__bytes_print(out, "</div>\n</section>\n");
        wg__bytes_print(out, "<section>\n<h2>");
        wg__put_text(out, heading, false);
        wg__bytes_print(out, "</h2>\n<div class=\"%s\">\n", classes[kind]);
        report->open = kind;
        strcpy(report->heading, heading);
    }
    wg__bytes_print(out, "<figure>\n");
    return true;
}

static wg_status exhibit_end(wg_report *report, const char *caption)
{
    if (*caption) {
        wg__bytes_print(&report->exhibits, "<figcaption>");
        wg__put_text(&report->exhibits, caption, false);
        wg__bytes_print(&report->exhibits, "</figcaption>\n");
    }
    wg__bytes_print(&report->exhibits, "</figure>\n");
    return wg__report_end(report, &report->exhibits);
}

wg_status wg_report_text(wg_report *report, const char *heading, const char *caption, const char *text)
{
    wg_status status = WG_OK;
    if (!text) return wg__report_fail(report, WG_ERR_ARGUMENT, "text: text is NULL");
    if (!exhibit_begin(report, WG__TEXTS, heading, caption, &status)) return status;
    wg__bytes_print(&report->exhibits, "<pre>");
    wg__put_text(&report->exhibits, text, true);
    wg__bytes_print(&report->exhibits, "</pre>\n");
    return exhibit_end(report, caption);
}

/* Small pictures are enlarged, by a whole factor, without smoothing. */
static int shown_width(int64_t width) { return (int)(width < 96 ? width * ((96 + width - 1) / width) : width); }

wg_status wg_report_picture(wg_report *report, const char *heading, const char *caption, const uint8_t *pixels,
                            int64_t height, int64_t width, int channels)
{
    wg_status status = WG_OK;
    wg_error error = {0};
    if (!wg__png_check(pixels, height, width, channels, "picture", &error))
        return wg__report_fail(report, error.status, "%s", error.text);
    if (!exhibit_begin(report, WG__PICTURES, heading, caption, &status)) return status;
    wg__bytes *out = &report->exhibits, png = {0};
    wg__png_put(&png, pixels, height, width, channels);
    wg__bytes_print(out, "<img width=\"%d\" alt=\"", shown_width(width));
    wg__put_text(out, *caption ? caption : heading, false);
    wg__bytes_print(out, "\" src=\"data:image/png;base64,");
    if (!png.failed) wg__put_base64(out, png.data, png.size);
    wg__bytes_print(out, "\">\n");
    out->failed |= png.failed;
    wg__bytes_fini(&png);
    return exhibit_end(report, caption);
}

/* ---- matrices ---- */

static double cell_of(float number) { return isfinite(number) && number > 0 ? (double)number : 0; }

/* A whole number as it is, others with two decimals; nothing for zero, so that what is there stands out. */
static void put_cell(wg__bytes *out, double number, double most)
{
    const double part = most > 0 ? number / most : 0;
    wg__bytes_print(out, "<td%s style=\"--p:%.3f\">", part > 0.7 ? " class=\"dark\"" : "", part);
    if (number > 0) wg__bytes_print(out, number == floor(number) && most > 1 ? "%.0f" : "%.2f", number);
    wg__bytes_print(out, "</td>");
}

static bool matrix_is_valid(int rows, int cols, const char *const *row_words, const char *const *col_words,
                            const float *numbers)
{
    enum { MOST_CELLS = 1 << 16 };
    bool ok = row_words && col_words && numbers && rows > 0 && cols > 0 && (int64_t)rows * cols <= MOST_CELLS;
    for (int r = 0; ok && r < rows; r++) ok = row_words[r];
    for (int c = 0; ok && c < cols; c++) ok = col_words[c];
    return ok;
}

wg_status wg_report_matrix(wg_report *report, const char *heading, const char *caption, int rows, int cols,
                           const char *const *row_words, const char *const *col_words, const float *numbers)
{
    wg_status status = WG_OK;
    if (!matrix_is_valid(rows, cols, row_words, col_words, numbers))
        return wg__report_fail(report, WG_ERR_ARGUMENT,
                               "matrix of %d x %d: must have 1 to 65536 cells, numbers and words, none NULL", rows,
                               cols);
    if (!exhibit_begin(report, WG__MATRICES, heading, caption, &status)) return status;
    wg__bytes *out = &report->exhibits;
    double most = 0;
    size_t longest = 0;
    for (int64_t i = 0; i < (int64_t)rows * cols; i++)
        most = cell_of(numbers[i]) > most ? cell_of(numbers[i]) : most;
    for (int c = 0; c < cols; c++) longest = strlen(col_words[c]) > longest ? strlen(col_words[c]) : longest;
    wg__bytes_print(out, "<div class=\"scroll\"><table class=\"matrix%s\">\n<tr><td></td>",
                    longest > 3 ? " tall" : "");
    for (int c = 0; c < cols; c++) {
        wg__bytes_print(out, "<th scope=\"col\"><span>");
        wg__put_text(out, col_words[c], false);
        wg__bytes_print(out, "</span></th>");
    }
    for (int r = 0; r < rows; r++) {
        wg__bytes_print(out, "</tr>\n<tr><th scope=\"row\">");
        wg__put_text(out, row_words[r], false);
        wg__bytes_print(out, "</th>");
        for (int c = 0; c < cols; c++) put_cell(out, cell_of(numbers[(int64_t)r * cols + c]), most);
    }
    wg__bytes_print(out, "</tr>\n</table></div>\n");
    return exhibit_end(report, caption);
}
