// Finds the functions that this library stands in front of, in the objects that the loader lists after it.
//
// dlsym would do, but older glibc keeps it in a library that few programs load. This needs dl_iterate_phdr alone, which
// every libc has.

#include <elf.h>
#include <stddef.h>

#define ElfW(type) Elf64_##type

struct dl_phdr_info {
    ElfW(Addr) dlpi_addr;
    const char *dlpi_name;
    const ElfW(Phdr) *dlpi_phdr;
    ElfW(Half) dlpi_phnum;
};

extern int dl_iterate_phdr(int (*)(struct dl_phdr_info *, size_t, void *), void *);

extern const char __ehdr_start[] __attribute__((visibility("hidden")));

struct lookup {
    const char *name;
    int seen_self;
    void *found;
};

static int same(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

static unsigned gnu_hash(const char *name) {
    unsigned hash = 5381;
    for (; *name; name++) hash = hash * 33 + (unsigned char)*name;
    return hash;
}

static int look_into(struct dl_phdr_info *object, size_t size, void *data) {
    (void)size;
    struct lookup *wanted = data;
    ElfW(Addr) base = object->dlpi_addr;
    if (base == (ElfW(Addr))__ehdr_start) {
        wanted->seen_self = 1;
        return 0;
    }
    if (!wanted->seen_self) return 0;
    const ElfW(Dyn) *dynamic = 0;
    for (int i = 0; i < object->dlpi_phnum; i++)
        if (object->dlpi_phdr[i].p_type == PT_DYNAMIC) dynamic = (void *)(base + object->dlpi_phdr[i].p_vaddr);
    if (!dynamic) return 0;
    const ElfW(Sym) *symbols = 0;
    const char *names = 0;
    const ElfW(Half) *versions = 0;
    const unsigned *table = 0;
    for (; dynamic->d_tag != DT_NULL; dynamic++) {
        // Some loaders write the address itself here, others leave the offset.
        ElfW(Addr) at = dynamic->d_un.d_ptr < base ? base + dynamic->d_un.d_ptr : dynamic->d_un.d_ptr;
        if (dynamic->d_tag == DT_SYMTAB) symbols = (void *)at;
        if (dynamic->d_tag == DT_STRTAB) names = (void *)at;
        if (dynamic->d_tag == DT_VERSYM) versions = (void *)at;
        if (dynamic->d_tag == DT_GNU_HASH) table = (void *)at;
    }
    if (!symbols || !names || !table || !table[0]) return 0;
    const unsigned *buckets = table + 4 + table[2] * (sizeof(ElfW(Addr)) / 4), *chain = buckets + table[0];
    unsigned hash = gnu_hash(wanted->name), i = buckets[hash % table[0]];
    if (i < table[1]) return 0;
    for (;; i++) {
        unsigned entry = chain[i - table[1]];
        const ElfW(Sym) *symbol = symbols + i;
        // The top bit of a version hides it: what is linked today is the one without.
        if ((entry | 1) == (hash | 1) && symbol->st_shndx != SHN_UNDEF && ELF64_ST_TYPE(symbol->st_info) == STT_FUNC &&
            !(versions && versions[i] & 0x8000) && same(names + symbol->st_name, wanted->name)) {
            wanted->found = (void *)(base + symbol->st_value);
            return 1;
        }
        if (entry & 1) return 0;
    }
}

static void *find_real(const char *name) {
    struct lookup wanted = {name, 0, 0};
    dl_iterate_phdr(look_into, &wanted);
    return wanted.found;
}
