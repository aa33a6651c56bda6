/* Injected faults and a temporary folder for the tests of io/.
 *
 * The linker routes the library's system calls and allocations through wrappers (--wrap; see meson.build). They make
 * the k-th call fail, or end the process there, as a power cut would. */
#ifndef TEST_IO_H
#define TEST_IO_H

#include "../io/file.h"
#include "../wengert.h"
#include "check.h"

typedef struct fault_state {
    long calls;     /* system calls since fault_begin */
    long fail_call; /* the number of the one that fails; 0: none */
    bool dies;      /* ... or at which the process ends */
    bool for_good;  /* all that follow fail, too; of allocations as well */
    long allocations, fail_allocation;
    size_t largest;   /* allocation, in bytes */
    bool short_calls; /* a read or write transfers at most 7 bytes */
} fault_state;

extern fault_state fault;

void fault_begin(long call, long allocation, bool dies);
void fault_end(void);

extern char folder[64];
const char *in_folder(const char *name); /* a path, valid until the call after next */
void put_file(const char *path, const void *bytes, size_t size);
char *get_file(const char *path, size_t *size);
/* A safetensors file of this header and data, in memory. */
wg_safetensors *file_with(const char *header, const void *data, size_t size);
int count_files(void);
void empty_folder(void);
/* Makes the folder, before all tests; removes it, after them. */
void make_folder(void);
void remove_folder(void);

#define ASSERT_HAS(text, part)                                                                                     \
    do                                                                                                             \
        if (!strstr(text, part)) fail_msg("\"%s\" does not hold \"%s\"", text, part);                              \
    while (0)

#endif
