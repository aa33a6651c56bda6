/* Internal. Text from outside: which bytes are UTF-8, and how names are shown in messages and dumps. */
#ifndef WG_TEXT_H
#define WG_TEXT_H

#include <stdio.h>

#include "../status.h"

/* The length of the well-formed UTF-8 character at p (Unicode, table 3-7), of which n bytes may be read; 0: none. */
size_t wg__utf8_length(const void *p, size_t n);

/* Writes text as wg_printable shows it. */
void wg__print_text(const char *text, FILE *out);
/* The same between quotes of JSON or Graphviz: a quote or backslash gets a backslash. */
void wg__print_quoted(const char *text, FILE *out);

#endif
