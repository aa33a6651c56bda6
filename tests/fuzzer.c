/* A reader under libFuzzer: see tests/fuzz.sh. */
#include "readers.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    bool accepted;
    const char *broken = readers[READER].read(bytes, size, &accepted);
    if (broken) {
        fprintf(stderr, "%s: %s\n", readers[READER].name, broken);
        abort();
    }
    return 0;
}
