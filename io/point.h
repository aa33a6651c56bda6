/* Internal to io/ and train/: numbers in files have a decimal point, whatever the locale of the program says. */
#ifndef WG_IO_POINT_H
#define WG_IO_POINT_H

#include <locale.h>

/* Between these two the calling thread is in the locale "C"; `before` is what the first one returned. */
locale_t wg__point_begin(void);
void wg__point_end(locale_t before);

#endif
