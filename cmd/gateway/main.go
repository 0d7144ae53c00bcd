// Command gateway is what agents talk to: the HTTP API, the proxies through which their calls go out, and
// ext_authz for an Envoy.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	stdlog "log"
	"net/url"
	"os"
	"time"

	_ "k8s.io/client-go/plugin/pkg/client/auth" // every way to authenticate that kubectl has
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	auditclient "agentpassport.dev/operator/internal/audit/client"
	"agentpassport.dev/operator/internal/configfile"
	"agentpassport.dev/operator/internal/flagvalue"
	"agentpassport.dev/operator/internal/gateway/judge"
	"agentpassport.dev/operator/internal/review"
	"agentpassport.dev/operator/internal/watched"
)

type flags struct {
	address         string
	extAuthzAddress string
	// extAuthzClientCA and extAuthzClients say which proxies ask: they are given credentials.
	extAuthzClientCA string
	extAuthzClients  []string
	metricsAddress   string
	metricsSecure    bool
	probeAddress     string
	name             string
	uid              string
	namespace        string
	issuer           string
	audience         string
	tlsDir           string
	certFile         string
	privateKeyFile   string
	spoolDir         string
	spoolMaxMiB      int64
	channelURL       string
	auditLog         auditclient.Options
	limits           judge.LimitOptions
	watchSilence     time.Duration
	serverSilence    time.Duration
	shutdownDelay    time.Duration
	configFile       string
	works            watched.Namespaces
	thresholds       review.Thresholds
	log              zap.Options
}

func parse(set *flag.FlagSet, args []string) (*flags, error) {
	var f flags
	set.StringVar(&f.address, "bind-address", ":8443", "The address of the HTTP API and the proxies, over HTTPS.")
	set.StringVar(&f.extAuthzAddress, "ext-authz-bind-address", "0", "The address of Envoy's ext_authz, gRPC over TLS, such as :9001; 0 switches it off. It needs the next two.")
	set.StringVar(&f.extAuthzClientCA, "ext-authz-client-ca-file", "", "The authorities that sign the certificates of the proxies that ask ext_authz, PEM, read for every connection. Answers hold credentials.")
	set.Func("ext-authz-clients", "The names (common name, DNS or URI) of these certificates, apart by commas: those of proxies, and of no agent.", flagvalue.Names(&f.extAuthzClients))
	set.StringVar(&f.metricsAddress, "metrics-bind-address", ":8080", "The address of the metrics endpoint; 0 switches it off.")
	set.BoolVar(&f.metricsSecure, "metrics-secure", true, "Serve metrics over HTTPS, to those whom RBAC lets get /metrics.")
	set.StringVar(&f.probeAddress, "health-probe-bind-address", ":8081", "The address of /healthz and /readyz.")
	set.StringVar(&f.name, "name", os.Getenv("POD_NAME"), "The name of this gateway, which no other has: its Pod's.")
	set.StringVar(&f.uid, "uid", os.Getenv("POD_UID"), "The UID of its Pod, which its Lease goes with; empty: the Lease stays until it is given up.")
	set.StringVar(&f.namespace, "namespace", cmp.Or(os.Getenv("POD_NAMESPACE"), "agent-passport-system"), "The operator's own namespace: the public keys and the Leases of gateways are there.")
	set.StringVar(&f.issuer, "issuer", "http://agent-passport-issuer.agent-passport-system.svc", "The issuer of the tokens (iss), as the manager has it.")
	set.StringVar(&f.audience, "audience", "agent-passport-gateway", "The audience that passports and callers' tokens must be for, as the manager's --gateway-audience.")
	set.StringVar(&f.tlsDir, "tls-dir", "/etc/agent-passport-gateway", "Where the certificates that the manager keeps are mounted: tls.crt and tls.key, client.crt and client.key, ca.crt. They are read again when they change.")
	set.StringVar(&f.certFile, "tls-cert-file", "", "Another serving certificate than the one in --tls-dir, PEM; read again when it changes.")
	set.StringVar(&f.privateKeyFile, "tls-private-key-file", "", "The key of --tls-cert-file.")
	set.StringVar(&f.spoolDir, "spool-dir", "/var/lib/agent-passport-gateway", "Where records wait for the audit log, on a local file system.")
	set.Int64Var(&f.spoolMaxMiB, "spool-max-mib", 1024, "How many MiB of records may wait. With a full spool no call goes out.")
	set.StringVar(&f.channelURL, "channel-url", "https://agent-passport-channel.agent-passport-system.svc:9443", "The managers, which sign tokens and take reports, over https with certificates on both sides.")
	set.StringVar(&f.auditLog.URL, "audit-log-url", "https://agent-passport-auditlog.agent-passport-system.svc:8443", "The audit log, over https.")
	set.StringVar(&f.auditLog.CAFile, "audit-log-ca-file", "", "The authorities that may sign the audit log's certificate, PEM, read for every connection; empty: those of the system.")
	set.StringVar(&f.auditLog.TokenFile, "audit-log-token-file", "", "The bearer token for the audit log, read for every request.")
	set.Float64Var(&f.limits.PassportRate, "passport-calls-per-second", 50, "How many calls a second one passport may make; 0: no limit.")
	set.IntVar(&f.limits.PassportBurst, "passport-calls-burst", 100, "How many calls one passport may make at once.")
	set.Float64Var(&f.limits.ClientRate, "client-calls-per-second", 200, "How many calls a second may come from one address; 0: no limit.")
	set.IntVar(&f.limits.ClientBurst, "client-calls-burst", 400, "How many calls may come from one address at once.")
	set.DurationVar(&f.watchSilence, "watch-lost-after", 90*time.Second, "How long a watch may bring neither event nor bookmark before what it brought counts as old, and calls are refused.")
	set.DurationVar(&f.serverSilence, "api-lost-after", 60*time.Second, "How long the API server may leave everything unanswered before calls are refused.")
	set.DurationVar(&f.shutdownDelay, "shutdown-delay", 5*time.Second, "How long to go on taking calls once asked to stop, and not ready any more: until nobody is sent here.")
	set.StringVar(&f.configFile, "config-file", "", "The manager's config file, YAML with the thresholds of the detectors; empty: the defaults. It is read at the start.")
	set.Func(watched.Flag, watched.Usage, f.works.Parse)
	f.log.BindFlags(set)
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	if err := f.check(set); err != nil {
		return nil, err
	}
	var err error
	f.thresholds, err = configfile.Thresholds(f.configFile)
	return &f, err
}

func (f *flags) check(set *flag.FlagSet) error {
	issuer, err := url.Parse(f.issuer)
	switch {
	case set.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: every setting is a flag", set.Arg(0))
	case f.name == "":
		return errors.New("--name: the name of this gateway, which no other has; in a Pod, set POD_NAME")
	case err != nil || issuer.Host == "" || (issuer.Scheme != "https" && issuer.Scheme != "http"):
		return fmt.Errorf("--issuer %q: want the manager's, a URL such as https://passports.example.com", f.issuer)
	case f.namespace == "" || f.audience == "":
		return errors.New("--namespace and --audience must not be empty")
	case (f.certFile == "") != (f.privateKeyFile == ""):
		return errors.New("--tls-cert-file and --tls-private-key-file go together")
	case f.extAuthzAddress != "0" && (f.extAuthzClientCA == "" || len(f.extAuthzClients) == 0):
		return errors.New("--ext-authz-bind-address needs --ext-authz-client-ca-file and --ext-authz-clients: whoever asks is given credentials")
	case f.spoolMaxMiB < 1 || f.spoolMaxMiB > 1<<20:
		return fmt.Errorf("--spool-max-mib %d: 1 to 1048576", f.spoolMaxMiB)
	case f.limits.PassportRate < 0 || f.limits.ClientRate < 0 || f.limits.PassportBurst < 0 || f.limits.ClientBurst < 0:
		return errors.New("limits of calls are 0 or more")
	case f.watchSilence < 10*time.Second || f.serverSilence < 10*time.Second:
		return errors.New("--watch-lost-after and --api-lost-after: at least 10s")
	case f.shutdownDelay < 0 || f.shutdownDelay > time.Minute:
		return fmt.Errorf("--shutdown-delay %s: 0s to 1m", f.shutdownDelay)
	}
	return nil
}

func main() {
	f, err := parse(flag.CommandLine, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(2)
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&f.log)))
	// The API machinery logs there.
	klog.SetLogger(ctrl.Log)
	// What net/http says of a connection's end may quote what a service sent.
	stdlog.SetOutput(io.Discard)
	if err := run(ctrl.SetupSignalHandler(), f); err != nil {
		ctrl.Log.Error(err, "the gateway ends")
		os.Exit(1)
	}
}
