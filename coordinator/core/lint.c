/* Sweeps over all subnets, sorted; errors first. */
#include "coordinator/core/lint.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "coordinator/core/span.h"

/* A subnet of a site, or of a certificate. */
struct entry {
    struct span span;
    uint32_t site;
    bool is_v4;
};

/* Spans that neither touch nor overlap, ascending: what somebody has. */
struct cover {
    struct span *spans; /* owned */
    uint32_t count;
};

struct lint {
    const struct lint_site *sites;
    uint32_t site_count;
    struct entry *entries; /* owned; all sites' subnets by family, span, site */
    uint32_t entry_count;
    struct lint_row *rows; /* caller's room */
    uint32_t row_max;
    uint32_t row_count;
    bool more;
    struct buf sentence; /* being worded */
};

/* ---- words ---- */

/* Ends the sentence in lint->sentence. */
static void tell(struct lint *lint, enum lint_kind kind, bool error)
{
    if (lint->row_count == lint->row_max) {
        lint->more = true;
    } else {
        struct lint_row *row = &lint->rows[lint->row_count++];
        size_t size = lint->sentence.size;
        *row = (struct lint_row){.kind = kind, .error = error};
        memcpy(row->text, lint->sentence.data,
               size < sizeof row->text ? size : sizeof row->text - 1);
    }
    buf_reset(&lint->sentence);
}

static const char *key_text(struct span_key key, bool is_v4, char text[SUBNET_TEXT_SIZE])
{
    struct subnet_address address = {.is_v4 = is_v4};
    span_key_bytes(key, address.bytes);
    subnet_address_text(&address, text);
    return text;
}

static const char *entry_text(const struct entry *entry, char text[SUBNET_TEXT_SIZE])
{
    struct subnet subnet = {.bits = 128, .is_v4 = entry->is_v4};
    span_key_bytes(entry->span.first, subnet.bytes);
    while (subnet.bits > 0 && span_key_compare(span_of(&subnet).last, entry->span.last) < 0)
        subnet.bits--;
    subnet_text(&subnet, text);
    return text;
}

static const char *site_name(const struct lint *lint, uint32_t site)
{
    return lint->sites[site].site->name;
}

/* ---- spans ---- */

static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left;
    const struct entry *b = right;
    if (a->is_v4 != b->is_v4)
        return a->is_v4 ? -1 : 1;
    int order = span_compare(&a->span, &b->span);
    return order != 0 ? order : (a->site > b->site) - (a->site < b->site);
}

/* Entries sorted by compare_entries, all of one family. */
static struct cover cover_of(const struct entry *entries, uint32_t count)
{
    struct cover cover = {.spans = mem_new(count + 1U, sizeof *cover.spans)};
    for (uint32_t i = 0; i < count; i++) {
        struct span *last = cover.count > 0 ? &cover.spans[cover.count - 1] : NULL;
        if (last == NULL ||
            (!span_key_is_max(last->last) &&
             span_key_compare(span_key_next(last->last), entries[i].span.first) < 0))
            cover.spans[cover.count++] = entries[i].span;
        else if (span_key_compare(last->last, entries[i].span.last) < 0)
            last->last = entries[i].span.last;
    }
    return cover;
}

/* The key before: only asked of keys that something comes before. */
static struct span_key key_before(struct span_key key)
{
    if (key.low == 0)
        key.high--;
    key.low--;
    return key;
}

/* The first piece of the span that is not covered; false: all is. */
static bool find_bare(const struct cover *cover, const struct span *span, struct span *bare)
{
    uint32_t low = 0;
    uint32_t high = cover->count; /* the first one that begins after the span's first address */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (span_key_compare(cover->spans[middle].first, span->first) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    *bare = *span;
    if (low > 0) {
        const struct span *holder = &cover->spans[low - 1];
        if (span_key_compare(holder->last, span->last) >= 0)
            return false;
        if (span_key_compare(holder->last, span->first) >= 0)
            bare->first = span_key_next(holder->last);
    }
    if (low < cover->count && span_key_compare(cover->spans[low].first, span->last) <= 0)
        bare->last = key_before(cover->spans[low].first);
    return true;
}

/* ---- what is odd ---- */

static void lint_twice(struct lint *lint)
{
    char text[SUBNET_TEXT_SIZE];
    for (uint32_t i = 1; i < lint->entry_count; i++) {
        const struct entry *one = &lint->entries[i - 1];
        const struct entry *other = &lint->entries[i];
        if (one->is_v4 == other->is_v4 && span_compare(&one->span, &other->span) == 0) {
            buf_printf(&lint->sentence, "%s is in site %s and again in site %s: %s has it",
                       entry_text(one, text), site_name(lint, one->site),
                       site_name(lint, other->site), site_name(lint, one->site));
            tell(lint, LINT_OVERLAP, true);
        }
    }
}

static void lint_relays(struct lint *lint)
{
    for (uint32_t i = 0; i < lint->site_count; i++)
        if (lint->sites[i].site->relay_count == 0) {
            buf_printf(&lint->sentence, "site %s has no relay: nobody works there",
                       lint->sites[i].site->name);
            tell(lint, LINT_NO_RELAY, true);
        }
}

static uint32_t entries_of_family(const struct entry *entries, uint32_t count, bool is_v4)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count; i++)
        found += entries[i].is_v4 == is_v4;
    return found;
}

/* What a site's certificates cover, per family. */
static void cover_certificates(const struct lint_site *site, struct cover covers[2])
{
    struct entry *entries = mem_new(site->subnet_count + 1U, sizeof *entries);
    for (uint32_t i = 0; i < site->subnet_count; i++)
        entries[i] = (struct entry){span_of(&site->subnets[i]), 0, site->subnets[i].is_v4};
    qsort(entries, site->subnet_count, sizeof *entries, compare_entries);
    uint32_t v4_count = entries_of_family(entries, site->subnet_count, true);
    covers[true] = cover_of(entries, v4_count);
    covers[false] = cover_of(entries + v4_count, site->subnet_count - v4_count);
    free(entries);
}

static void lint_uncovered(struct lint *lint, uint32_t at)
{
    struct cover covers[2];
    struct span bare;
    char subnet[SUBNET_TEXT_SIZE];
    char from[SUBNET_TEXT_SIZE];
    char to[SUBNET_TEXT_SIZE];
    const struct lint_site *site = &lint->sites[at];
    if (site->trusted || site->site->relay_count == 0)
        return;
    cover_certificates(site, covers);
    for (uint32_t i = 0; i < lint->entry_count; i++) {
        const struct entry *entry = &lint->entries[i];
        if (entry->site == at && find_bare(&covers[entry->is_v4], &entry->span, &bare)) {
            buf_printf(&lint->sentence,
                       "no relay of site %s may touch %s to %s (subnet %s): approve one with it",
                       site->site->name, key_text(bare.first, entry->is_v4, from),
                       key_text(bare.last, entry->is_v4, to), entry_text(entry, subnet));
            tell(lint, LINT_UNCOVERED, true);
        }
    }
    free(covers[0].spans);
    free(covers[1].spans);
}

/* A subnet lies in one that comes before it; the nearest one is told. */
static void lint_nested(struct lint *lint)
{
    uint32_t *outer = mem_new(lint->entry_count + 1U, sizeof *outer);
    uint32_t depth = 0;
    char inner_text[SUBNET_TEXT_SIZE];
    char outer_text[SUBNET_TEXT_SIZE];
    for (uint32_t i = 0; i < lint->entry_count; i++) {
        const struct entry *entry = &lint->entries[i];
        while (depth > 0 &&
               (lint->entries[outer[depth - 1]].is_v4 != entry->is_v4 ||
                span_key_compare(lint->entries[outer[depth - 1]].span.last, entry->span.first) < 0))
            depth--;
        const struct entry *around = depth > 0 ? &lint->entries[outer[depth - 1]] : NULL;
        if (around != NULL && span_compare(&around->span, &entry->span) == 0)
            continue; /* told as an error */
        if (around != NULL) {
            buf_printf(&lint->sentence,
                       "%s of site %s lies in %s of site %s: the narrower one wins",
                       entry_text(entry, inner_text), site_name(lint, entry->site),
                       entry_text(around, outer_text), site_name(lint, around->site));
            tell(lint, LINT_OVERLAP, false);
        }
        outer[depth++] = i;
    }
    free(outer);
}

/* The gap after what a site has so far, before the next of its subnets. */
static void lint_gap(struct lint *lint, const struct cover *all, const struct entry *before,
                     const struct entry *after)
{
    char texts[2][SUBNET_TEXT_SIZE];
    struct span bare;
    const struct span gap = {span_key_next(before->span.last), key_before(after->span.first)};
    uint64_t size = span_key_distance(gap.first, gap.last);
    uint64_t left = span_key_distance(before->span.first, before->span.last);
    uint64_t right = span_key_distance(after->span.first, after->span.last);
    if ((size > left && size > right) || !find_bare(all, &gap, &bare))
        return;
    buf_printf(&lint->sentence, "%s to %s, between subnets of site %s, belong to no site",
               key_text(bare.first, before->is_v4, texts[0]),
               key_text(bare.last, before->is_v4, texts[1]), site_name(lint, before->site));
    tell(lint, LINT_GAP, false);
}

static void lint_gaps(struct lint *lint)
{
    uint32_t v4_count = entries_of_family(lint->entries, lint->entry_count, true);
    struct cover covers[2];
    covers[true] = cover_of(lint->entries, v4_count);
    covers[false] = cover_of(lint->entries + v4_count, lint->entry_count - v4_count);
    /* Of each site the entry that reaches farthest so far. */
    const struct entry **reach = mem_new(lint->site_count + 1U, sizeof *reach);
    for (uint32_t i = 0; i < lint->entry_count; i++) {
        const struct entry *entry = &lint->entries[i];
        const struct entry *before = reach[entry->site];
        if (before != NULL && before->is_v4 == entry->is_v4) {
            if (span_key_compare(entry->span.last, before->span.last) <= 0)
                continue;
            if (span_key_compare(span_key_next(before->span.last), entry->span.first) < 0)
                lint_gap(lint, &covers[entry->is_v4], before, entry);
        }
        reach[entry->site] = entry;
    }
    free(reach);
    free(covers[0].spans);
    free(covers[1].spans);
}

/* ---- all together ---- */

static int gather(struct lint *lint, struct err *err)
{
    size_t count = 0;
    for (uint32_t i = 0; i < lint->site_count; i++)
        count += lint->sites[i].site->subnet_count;
    lint->entries = mem_new(count + 1U, sizeof *lint->entries);
    for (uint32_t i = 0; i < lint->site_count; i++) {
        const struct site *site = lint->sites[i].site;
        for (uint32_t j = 0; j < site->subnet_count; j++) {
            struct subnet subnet;
            if (subnet_from_text(site->subnets[j], &subnet, err) != 0)
                return err_wrap(err, "site %s", site->name);
            lint->entries[lint->entry_count++] = (struct entry){span_of(&subnet), i, subnet.is_v4};
        }
    }
    qsort(lint->entries, lint->entry_count, sizeof *lint->entries, compare_entries);
    return 0;
}

int lint_sites(const struct lint_site *sites, uint32_t site_count, struct lint_row *rows,
               uint32_t row_max, uint32_t *row_count, bool *more, struct err *err)
{
    struct lint lint = {.sites = sites, .site_count = site_count, .rows = rows, .row_max = row_max};
    buf_init(&lint.sentence, 4096);
    int result = gather(&lint, err);
    if (result == 0) {
        lint_twice(&lint);
        lint_relays(&lint);
        for (uint32_t i = 0; i < site_count; i++)
            lint_uncovered(&lint, i);
        lint_nested(&lint);
        lint_gaps(&lint);
        *row_count = lint.row_count;
        *more = lint.more;
    }
    buf_release(&lint.sentence);
    free(lint.entries);
    return result;
}
