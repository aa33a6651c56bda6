/* Internal. HTML and SVG: text, and what the files of this room share.
 *
 * Room train: what surrounds a training loop: charts and reports. It is written in what users have, the writers of io/
 * and nothing that they could not have written. */
#ifndef WG_MARKUP_H
#define WG_MARKUP_H

#include "../io/bytes.h"
#include "chart.h"

/* Appends text: printable, and the characters escaped that mean something in HTML. Ends of lines and tabs stay if
 * `lines`. */
void wg__put_text(wg__bytes *out, const char *text, bool lines);
/* The same of one line, cut to fit into `size` bytes. */
void wg__put_short(wg__bytes *out, const char *text, size_t size);
/* Appends bytes in base64 (RFC 4648, 4). */
void wg__put_base64(wg__bytes *out, const void *bytes, size_t n);

/* Appends a chart; alone: as a file of its own, with its colours. */
void wg__put_chart(wg__bytes *out, const char *title, const wg_series *series, size_t n, bool alone);
/* The rules of a style sheet that charts need. */
extern const char wg__chart_style[];

#endif
