// Command chart writes what the Helm chart takes from config/, so that nobody writes it twice: CRDs, RBAC, admission
// policies, what Prometheus is told, dashboards and the config file. It also writes the table of values in docs/install.md, from the
// comments in values.yaml. It is run in the root of the project, by `make chart`.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

const (
	chartDir  = "charts/agent-passport-operator"
	configDir = "config"
	guide     = "docs/install.md"
)

// sources are the directories of config/ that become templates, each in a folder of its own.
var sources = []source{
	{config: "crd", templates: "crds", gate: always(".Values.crds.install")},
	{config: "rbac", templates: "rbac", gate: gateOfRole, narrowed: isNarrowedBinding},
	{config: "admission/validating", templates: "admission/validating", gate: always("")},
	{config: "admission/mutating", templates: "admission/mutating", gate: always(`include "agent-passport.stamps" .`), narrowed: isFinalizerBinding},
	{config: "prometheus", templates: "prometheus", gate: gateOfKind, labels: labelsOfKind},
}

func main() {
	if err := write("."); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

// write writes everything that follows from the sources under root.
func write(root string) error {
	chart := filepath.Join(root, chartDir)
	for _, from := range sources {
		if err := from.write(filepath.Join(root, configDir), filepath.Join(chart, "templates")); err != nil {
			return err
		}
	}
	if err := writeConfigFile(filepath.Join(root, configDir, "manager", "config.yaml"), filepath.Join(chart, "files", "config.yaml")); err != nil {
		return err
	}
	if err := copyFiles(filepath.Join(root, configDir, "grafana"), filepath.Join(chart, "files", "dashboards"), "*.json"); err != nil {
		return err
	}
	return writeValues(filepath.Join(chart, "values.yaml"), filepath.Join(root, guide))
}
