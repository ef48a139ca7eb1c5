/* The client of monitor-throughput with the C IDL of Open vSwitch: c-idl REMOTE.
 *
 * Follows every table and column of OVN_Northbound, and prints a line of JSON each time that the mark,
 * NB_Global:nb_cfg, changes. It ends at the mark -1. It tracks the one column that the benchmark changes,
 * and keeps no index. */

#include <config.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "openvswitch/poll-loop.h"
#include "openvswitch/vlog.h"
#include "ovn-nb-idl.h"
#include "ovsdb-idl.h"
#include "util.h"

static long long
monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static long long
cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL
           + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

/* How long ago each change was sent, in microseconds. The row says when it was sent. */
static double *latencies;
static size_t n_latencies, allocated_latencies;

static void
note_changes(struct ovsdb_idl *idl)
{
    long long now = monotonic_ns();
    const struct nbrec_logical_switch_port *port;
    NBREC_LOGICAL_SWITCH_PORT_FOR_EACH_TRACKED (port, idl) {
        const char *sent = smap_get(&port->options, "iface-id-ver");
        if (n_latencies == allocated_latencies) {
            latencies = x2nrealloc(latencies, &allocated_latencies, sizeof *latencies);
        }
        latencies[n_latencies++] = (now - atoll(sent ? sent : "0")) / 1e3;
    }
    ovsdb_idl_track_clear(idl);
}

static int
compare_latencies(const void *a_, const void *b_)
{
    const double *a = a_, *b = b_;
    return *a < *b ? -1 : *a > *b;
}

static double
quantile(double q)
{
    return n_latencies ? latencies[(size_t) (q * (n_latencies - 1))] : 0;
}

/* The nanoseconds for each of N operations since START. */
static double
each(long long start, size_t n)
{
    return (double) (monotonic_ns() - start) / (n ? n : 1);
}

/* Measures reading the replica, and prints the times. */
static void
print_reads(struct ovsdb_idl *idl)
{
    const struct nbrec_logical_switch_port *port;
    size_t n = 0, n_uuids = 0, found = 0, bytes = 0;
    struct uuid *uuids = NULL;
    NBREC_LOGICAL_SWITCH_PORT_FOR_EACH (port, idl) {
        if (n % 7 == 0) {
            uuids = xrealloc(uuids, (n_uuids + 1) * sizeof *uuids);
            uuids[n_uuids++] = port->header_.uuid;
        }
        n++;
    }

    long long start = monotonic_ns();
    NBREC_LOGICAL_SWITCH_PORT_FOR_EACH (port, idl) {
        bytes += strlen(port->name) + port->n_addresses;
    }
    double scan = each(start, 1);
    start = monotonic_ns();
    for (size_t i = 0; i < n_uuids; i++) {
        found += nbrec_logical_switch_port_get_for_uuid(idl, &uuids[i]) != NULL;
    }
    double by_uuid = each(start, n_uuids);
    if (found != n_uuids || !bytes) {
        ovs_fatal(0, "a row was not found");
    }
    printf("{\"reads\":{\"by_uuid_ns\":%.1f,\"scan_us\":%.1f}}\n", by_uuid, scan / 1e3);
    fflush(stdout);
}

int
main(int argc, char *argv[])
{
    if (argc != 2) {
        ovs_fatal(0, "usage: c-idl REMOTE");
    }
    vlog_set_levels(NULL, VLF_ANY_DESTINATION, VLL_WARN);

    long long start = monotonic_ns(), start_cpu = cpu_us(), mark = 0;
    struct ovsdb_idl *idl = ovsdb_idl_create(argv[1], &nbrec_idl_class, true, true);
    ovsdb_idl_track_add_column(idl, &nbrec_logical_switch_port_col_options);
    bool synced = false;
    for (;;) {
        ovsdb_idl_run(idl);
        if (!synced && ovsdb_idl_has_ever_connected(idl)) {
            synced = true;
            ovsdb_idl_track_clear(idl);
            size_t rows = 0;
            const struct nbrec_logical_switch_port *port;
            NBREC_LOGICAL_SWITCH_PORT_FOR_EACH (port, idl) {
                rows++;
            }
            printf("{\"mark\":0,\"rows\":%zu,\"wall_us\":%lld,\"cpu_us\":%lld}\n", rows,
                   (monotonic_ns() - start) / 1000, cpu_us() - start_cpu);
            fflush(stdout);
        }
        if (synced) {
            note_changes(idl);
            const struct nbrec_nb_global *global = nbrec_nb_global_first(idl);
            if (global && global->nb_cfg != mark) {
                mark = global->nb_cfg;
                long long cpu = cpu_us(), now = monotonic_ns();
                qsort(latencies, n_latencies, sizeof *latencies, compare_latencies);
                if (mark == -1) {
                    print_reads(idl);
                }
                printf("{\"mark\":%lld,\"cpu_us\":%lld,\"at_ns\":%lld,\"changes\":%zu,"
                       "\"p50_us\":%.1f,\"p99_us\":%.1f}\n",
                       mark, cpu, now, n_latencies, quantile(0.5), quantile(0.99));
                fflush(stdout);
                n_latencies = 0;
                if (mark == -1) {
                    return 0;
                }
            }
        }
        ovsdb_idl_wait(idl);
        poll_block();
    }
}
