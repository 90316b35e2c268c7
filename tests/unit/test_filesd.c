/* relay/stage/filesd.c: who may do what with the files of a job. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "relay/sd/sd.h"
#include "relay/stage/filesd.h"

#define OURS "O:BAD:P(A;;FA;;;SY)(A;;FA;;;BA)"

static void expect_of(void (*build)(struct buf *out, const struct job *job), enum run_as run_as,
                      const char *sddl, bool safe)
{
    struct job job = {.run_as = run_as};
    struct buf out;
    struct sd sd;
    struct sd expected;
    struct err err;
    buf_init(&out, FILESD_SIZE_MAX);
    build(&out, &job);
    assert_true(buf_ok(&out));
    assert_int_equal(sd_parse(out.data, out.size, &sd, &err), 0);
    assert_int_equal(sd_parse_sddl(sddl, &expected, &err), 0);
    assert_true((sd.control & SD_CONTROL_DACL_PROTECTED) != 0);
    assert_true(sd.has_owner && sid_equal(&sd.owner, &expected.owner));
    assert_int_equal(sd.ace_count, expected.ace_count);
    for (uint32_t i = 0; i < sd.ace_count; i++) {
        assert_int_equal(sd.ace[i].kind, expected.ace[i].kind);
        assert_int_equal(sd.ace[i].flags, expected.ace[i].flags);
        assert_int_equal(sd.ace[i].mask, expected.ace[i].mask);
        assert_true(sid_equal(&sd.ace[i].sid, &expected.ace[i].sid));
    }
    assert_int_equal(sd_is_safe(&sd, SD_FOLDER, NULL, 0), safe);
    buf_release(&out);
}

static void expect(enum run_as run_as, const char *sddl)
{
    expect_of(filesd_build, run_as, sddl, true);
}

static void file_of_a_system_task_is_closed_to_everybody_else(void **state)
{
    (void)state;
    expect(RUN_AS_SYSTEM, OURS);
}

static void file_of_another_account_is_readable_for_it_alone(void **state)
{
    (void)state;
    expect(RUN_AS_LOCAL_SERVICE, OURS "(A;;0x1200a9;;;S-1-5-19)");
    expect(RUN_AS_NETWORK_SERVICE, OURS "(A;;0x1200a9;;;S-1-5-20)");
    expect(RUN_AS_USER, OURS "(A;;0x1200a9;;;S-1-5-32-545)");
}

static void file_that_the_task_fills_is_writable_for_its_account_alone(void **state)
{
    (void)state;
    expect_of(filesd_build_output, RUN_AS_SYSTEM, OURS, true);
    expect_of(filesd_build_output, RUN_AS_LOCAL_SERVICE, OURS "(A;;0x12019f;;;S-1-5-19)", false);
    expect_of(filesd_build_output, RUN_AS_NETWORK_SERVICE, OURS "(A;;0x12019f;;;S-1-5-20)", false);
    expect_of(filesd_build_output, RUN_AS_USER, OURS "(A;;0x12019f;;;S-1-5-32-545)", false);
}

static void descriptor_is_appended_with_offsets_of_its_own(void **state)
{
    (void)state;
    struct job job = {.run_as = RUN_AS_USER};
    struct buf alone;
    struct buf behind;
    buf_init(&alone, FILESD_SIZE_MAX);
    buf_init(&behind, FILESD_SIZE_MAX + 3);
    filesd_build(&alone, &job);
    buf_zero(&behind, 3);
    filesd_build(&behind, &job);
    assert_int_equal(behind.size, alone.size + 3);
    assert_memory_equal(behind.data + 3, alone.data, alone.size);
    buf_release(&alone);
    buf_release(&behind);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_of_a_system_task_is_closed_to_everybody_else),
        cmocka_unit_test(file_of_another_account_is_readable_for_it_alone),
        cmocka_unit_test(file_that_the_task_fills_is_writable_for_its_account_alone),
        cmocka_unit_test(descriptor_is_appended_with_offsets_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
