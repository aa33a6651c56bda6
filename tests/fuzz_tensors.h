/* Files of NumPy and PyTorch for test_fuzz.c. What is edited is an .npy file or a pickle; an archive is made of it
 * after that, so that its checksums are right. */
#ifndef WG_TEST_FUZZ_TENSORS_H
#define WG_TEST_FUZZ_TENSORS_H

#include "fuzz_input.h"
#include "zip_file.h"

/* Edits the records of an archive of n members, in one of two files; cuts one of eight. */
static inline void zip_edit(input *in, const zip_places *at, size_t n)
{
    static const uint64_t words[] = {0, 1, 8, 0x7fffffff, 0xffffffff, 0xffff, 30, 0x02014b50};
    in->size = at->size;
    for (size_t edits = below(2) ? below(3) : 0; edits > 0; edits--) {
        const size_t which = below(n), record = below(3);
        const size_t base = record == 0 ? at->local[which] : record == 1 ? at->central[which] : at->end;
        const size_t offset = base + below(record == 0 ? 36 : record == 1 ? 52 : 22);
        if (offset + 4 > in->size) continue;
        if (below(2))
            in->bytes[offset] = (unsigned char)random_bits();
        else
            zip_put(in->bytes + offset, words[below(COUNT(words))], below(2) ? 2 : 4);
    }
    if (!below(8)) in->size = below(in->size);
}

/* ---- NumPy: .npy, and .npz with two of them ---- */

#define NPY(descr, order, shape, data)                                                                             \
    BLOB("\x93NUMPY\1\0\x46\0{'descr': '" descr "', 'fortran_order': " order ", 'shape': " shape ", }\n" data)

static const blob npy_files[] = {
    NPY("<f4", "False", "(2, 2)       ", "0123456789abcdef"),
    NPY(">i2", "True", "(2, 1, 3)     ", "0123456789ab"),
    NPY("|b1", "False", "(3,)         ", "\0\1\0"),
    NPY("<f8", "False", "()           ", "01234567"),
    NPY("<f2", "True", "(0, 5)        ", ""),
};

static const blob npy_words[] = {
    BLOB("{"),
    BLOB("}"),
    BLOB("'descr': "),
    BLOB("'shape': "),
    BLOB("'fortran_order': "),
    BLOB("True"),
    BLOB("(2, 3)"),
    BLOB("("),
    BLOB(")"),
    BLOB(","),
    BLOB("'"),
    BLOB(":"),
    BLOB("'<f4'"),
    BLOB("'>u8'"),
    BLOB("'<V2'"),
    BLOB("'|O'"),
    BLOB("9223372036854775807"),
    BLOB("0"),
    BLOB("1L"),
    BLOB("\xff\xff"),
    BLOB("\x93NUMPY"),
    BLOB("\2\0"),
    BLOB(" "),
    BLOB("\n"),
};

static inline void npy_fresh(input *in)
{
    take(in, npy_files, COUNT(npy_files));
    in->bytes[8] = (unsigned char)((const unsigned char *)memchr(in->bytes, '\n', in->size) + 1 - in->bytes - 10);
}

static inline void npz_wrap(input *in)
{
    const input first = *in;
    npy_fresh(in);
    const input second = *in;
    const size_t size = first.size < ROOM - 512 ? first.size : ROOM - 512;
    const zip_part parts[] = {{"a.npy", first.bytes, size}, {"b/c.npy", second.bytes, second.size}};
    const zip_places at = zip_file(in->bytes, parts, 2);
    zip_edit(in, &at, 2);
}

/* ---- PyTorch: a pickle, and two storages ---- */

#define STORAGE(type, key, n) "(X\7\0\0\0storagectorch\n" type "Storage\nX\1\0\0\0" key "X\3\0\0\0cpuK" n "tQ"
#define TENSOR(storage, rest)                                                                                      \
    "ctorch._utils\n_rebuild_tensor_v2\n(" storage rest "\x89"                                                     \
    "ccollections\nOrderedDict\n)RtR"

static const blob pickles[] = {
    BLOB("\x80\2}q\0(X\1\0\0\0aq\1" TENSOR(STORAGE("Float", "0", "\6"),
                                           "K\0K\2K\3\x86K\3K\1\x86") "q\2X\1\0\0\0bh\2u."),
    BLOB("\x80\2ccollections\nOrderedDict\n)Rq\0X\1\0\0\0w" TENSOR(STORAGE("Half", "1", "\4"),
                                                                   "K\0K\2K\2\x86K\1K\2\x86") "s}X\1\0\0\0mNsb."),
    BLOB("\x80\2(G\0\0\0\0\0\0\0\0M\1\1J\1\0\0\0\x8a\2\1\1]q\1(h\1N" TENSOR(STORAGE("Long", "1", "\1"),
                                                                            "K\0))") "et."),
    BLOB("\x80\2ctorch._utils\n_rebuild_parameter\n" TENSOR(STORAGE("Float", "0", "\6"),
                                                            "K\1K\2\x85K\2\x85") "\x88N\x87R."),
};

static const blob pickle_words[] = {
    BLOB("\x80\2"),
    BLOB("."),
    BLOB("("),
    BLOB("N"),
    BLOB("K\1"),
    BLOB("K\0"),
    BLOB("h\0"),
    BLOB("q\0"),
    BLOB("q\1"),
    BLOB("h\1"),
    BLOB(")"),
    BLOB("\x85"),
    BLOB("\x86"),
    BLOB("\x87"),
    BLOB("t"),
    BLOB("}"),
    BLOB("s"),
    BLOB("u"),
    BLOB("]"),
    BLOB("a"),
    BLOB("e"),
    BLOB("b"),
    BLOB("Q"),
    BLOB("R"),
    BLOB("\x89"),
    BLOB("j\2\0\0\0"),
    BLOB("X\1\0\0\0w"),
    BLOB("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"),
    BLOB("J\xff\xff\xff\xff"),
    BLOB("cos\nsystem\n"),
    BLOB("ctorch\nByteStorage\n"),
    BLOB(STORAGE("Float", "0", "\6")),
    BLOB(TENSOR(STORAGE("Float", "0", "\6"), "K\0))")),
};

static inline void pt_fresh(input *in) { take(in, pickles, COUNT(pickles)); }

static inline void pt_wrap(input *in)
{
    const input pickle = *in;
    unsigned char data[24];
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)below(256);
    const size_t size = pickle.size < ROOM - 512 ? pickle.size : ROOM - 512;
    const zip_part parts[] = {{"a/data.pkl", pickle.bytes, size}, {"a/data/0", data, 24}, {"a/data/1", data, 8}};
    const zip_places at = zip_file(in->bytes, parts, 3);
    zip_edit(in, &at, 3);
}

#endif
