/* relay/smb: the names in a folder, as a target lists them. Covers smb_directory_next.
 *
 * Holds: it ends, after no more entries than the bytes can hold; every name is UTF-8 without a NUL
 * and within its size. The engine's own checks around it are fuzz_smb's business. */
#include <string.h>

#include "common/base/utf16.h"
#include "fuzz.h"
#include "relay/smb/smb.h"

#define ENTRY_BYTES_MIN 64U /* [MS-FSCC] 2.4.10 up to FileName */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor at = cursor_of(data, size);
    struct smb_directory_entry entry;
    size_t count = 0;
    while (smb_directory_next(&at, &entry)) {
        count++;
        FUZZ_CHECK(count <= size / ENTRY_BYTES_MIN);
        FUZZ_CHECK(memchr(entry.name, '\0', sizeof entry.name) != NULL);
        FUZZ_CHECK(entry.name[0] != '\0' && utf8_valid(entry.name));
        FUZZ_CHECK(entry.info.reparse_tag == 0 && !entry.info.delete_pending);
    }
    FUZZ_CHECK(!cursor_ok(&at) || cursor_left(&at) == 0);
    return 0;
}
