/* The client of soak with the C IDL of Open vSwitch: c-soak REMOTES.
 *
 * Follows every table and column of OVN_Northbound, and prints a line of JSON each time that the heartbeats in
 * NB_Global:external_ids change. A line on its input names a file with a dump, with which it compares its
 * rows. */

#include <config.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "openvswitch/dynamic-string.h"
#include "openvswitch/json.h"
#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "ovn-nb-idl.h"
#include "ovsdb-data.h"
#include "ovsdb-error.h"
#include "ovsdb-idl.h"
#include "ovsdb-idl-provider.h"
#include "smap.h"
#include "util.h"

static long long
monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static size_t
count_rows(const struct ovsdb_idl *idl, const struct ovsdb_idl_table_class *class)
{
    size_t n = 0;
    for (const struct ovsdb_idl_row *row = ovsdb_idl_first_row(idl, class); row;
         row = ovsdb_idl_next_row(row)) {
        n++;
    }
    return n;
}

static size_t
count_all_rows(const struct ovsdb_idl *idl)
{
    size_t n = 0;
    for (size_t i = 0; i < nbrec_idl_class.n_tables; i++) {
        n += count_rows(idl, &nbrec_idl_class.tables[i]);
    }
    return n;
}

static bool
value_differs(const struct ovsdb_idl_row *row, const struct ovsdb_idl_table_class *class,
              const char *name, const struct json *value)
{
    for (size_t i = 0; i < class->n_columns; i++) {
        const struct ovsdb_idl_column *column = &class->columns[i];
        if (strcmp(column->name, name)) {
            continue;
        }
        struct ovsdb_datum theirs;
        struct ovsdb_error *error = ovsdb_datum_from_json(&theirs, &column->type, value, NULL);
        if (error) {
            ovsdb_error_destroy(error);
            return true;
        }
        bool equal = ovsdb_datum_equals(ovsdb_idl_read(row, column), &theirs, &column->type);
        ovsdb_datum_destroy(&theirs, &column->type);
        return !equal;
    }
    return false;
}

/* Counts the rows of a table that only the dump has, that only the IDL has, or whose values differ. */
static size_t
table_differences(const struct ovsdb_idl *idl, const struct json *table)
{
    const struct shash *members = json_object(table);
    const char *caption = json_string(shash_find_data(members, "caption"));
    const struct json_array *headings = json_array(shash_find_data(members, "headings"));
    const struct json_array *data = json_array(shash_find_data(members, "data"));
    const struct ovsdb_idl_table_class *class = NULL;
    for (size_t i = 0; i < nbrec_idl_class.n_tables; i++) {
        const char *name = nbrec_idl_class.tables[i].name;
        if (!strncmp(caption, name, strlen(name)) && !strcmp(caption + strlen(name), " table")) {
            class = &nbrec_idl_class.tables[i];
        }
    }
    if (!class) {
        return data->n;
    }
    size_t differ = 0, found = 0;
    for (size_t i = 0; i < data->n; i++) {
        const struct json_array *values = json_array(data->elems[i]);
        const struct ovsdb_idl_row *row = NULL;
        for (size_t j = 0; j < headings->n; j++) {
            struct uuid uuid;
            if (!strcmp(json_string(headings->elems[j]), "_uuid")
                && uuid_from_string(&uuid,
                                    json_string(json_array(values->elems[j])->elems[1]))) {
                row = ovsdb_idl_get_row_for_uuid(idl, class, &uuid);
            }
        }
        bool differs = !row;
        found += row != NULL;
        for (size_t j = 0; row && !differs && j < headings->n; j++) {
            differs = value_differs(row, class, json_string(headings->elems[j]), values->elems[j]);
        }
        differ += differs;
    }
    return differ + count_rows(idl, class) - found;
}

static size_t
differences(const struct ovsdb_idl *idl, const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        ovs_fatal(errno, "%s", path);
    }
    size_t differ = 0;
    struct ds line = DS_EMPTY_INITIALIZER;
    while (!ds_get_line(&line, file)) {
        if (line.length) {
            struct json *table = json_from_string(ds_cstr(&line));
            differ += table_differences(idl, table);
            json_destroy(table);
        }
    }
    ds_destroy(&line);
    fclose(file);
    return differ;
}

static void
print_heartbeats(const struct smap *heartbeats)
{
    printf("{\"heartbeats\":{");
    const struct smap_node *heartbeat;
    const char *separator = "";
    SMAP_FOR_EACH (heartbeat, heartbeats) {
        printf("%s\"%s\":\"%s\"", separator, heartbeat->key, heartbeat->value);
        separator = ",";
    }
    printf("},\"at_ns\":%lld}\n", monotonic_ns());
    fflush(stdout);
}

int
main(int argc, char *argv[])
{
    if (argc != 2) {
        ovs_fatal(0, "usage: c-soak REMOTES");
    }
    vlog_set_levels(NULL, VLF_ANY_DESTINATION, VLL_OFF);

    struct ovsdb_idl *idl = ovsdb_idl_create(argv[1], &nbrec_idl_class, true, true);
    struct smap heartbeats = SMAP_INITIALIZER(&heartbeats);
    /* poll_fd_wait() does not accept descriptor 0. */
    int input_fd = dup(STDIN_FILENO);
    bool synced = false, connected = false;
    size_t connections = 0;
    for (;;) {
        ovsdb_idl_run(idl);
        bool now_connected = ovsdb_idl_is_connected(idl);
        connections += now_connected && !connected;
        connected = now_connected;
        if (!synced && ovsdb_idl_has_ever_connected(idl)) {
            synced = true;
            printf("{\"rows\":%zu}\n", count_all_rows(idl));
            fflush(stdout);
        }
        const struct nbrec_nb_global *global = nbrec_nb_global_first(idl);
        if (global && !smap_equal(&global->external_ids, &heartbeats)) {
            smap_destroy(&heartbeats);
            smap_clone(&heartbeats, &global->external_ids);
            print_heartbeats(&heartbeats);
        }
        struct pollfd input = { .fd = input_fd, .events = POLLIN };
        if (poll(&input, 1, 0) > 0) {
            struct ds line = DS_EMPTY_INITIALIZER;
            if (ds_get_line(&line, stdin)) {
                return 0;
            }
            size_t differ = differences(idl, ds_cstr(&line));
            printf("{\"compared\":%zu,\"differ\":%zu,\"connections\":%zu}\n",
                   count_all_rows(idl), differ, connections);
            fflush(stdout);
            ds_destroy(&line);
        }
        ovsdb_idl_wait(idl);
        poll_fd_wait(input_fd, POLLIN);
        poll_block();
    }
}
