/* Paged bit set. */
#include "coordinator/core/bitset.h"

#include <assert.h>
#include <stdlib.h>

#include "common/base/mem.h"

enum { PAGE_BITS = 4096, WORD_BITS = 64, PAGE_WORDS = PAGE_BITS / WORD_BITS };

void bitset_init(struct bitset *set, uint32_t limit)
{
    set->page_count = limit / PAGE_BITS + (limit % PAGE_BITS != 0);
    set->pages = mem_new(set->page_count + 1, sizeof *set->pages);
}

void bitset_release(struct bitset *set)
{
    for (uint32_t i = 0; i < set->page_count; i++)
        free(set->pages[i]);
    free(set->pages);
    *set = (struct bitset){0};
}

void bitset_add(struct bitset *set, uint32_t number)
{
    uint32_t page = number / PAGE_BITS;
    assert(page < set->page_count);
    if (set->pages[page] == NULL)
        set->pages[page] = mem_new(PAGE_WORDS, sizeof(uint64_t));
    set->pages[page][number % PAGE_BITS / WORD_BITS] |= UINT64_C(1) << (number % WORD_BITS);
}

bool bitset_has(const struct bitset *set, uint32_t number)
{
    uint32_t page = number / PAGE_BITS;
    if (page >= set->page_count || set->pages[page] == NULL)
        return false;
    return (set->pages[page][number % PAGE_BITS / WORD_BITS] >> (number % WORD_BITS)) & 1;
}
