package observability

import (
	"testing"

	"sigs.k8s.io/yaml"
)

func TestDashboards(t *testing.T) {
	uids := map[string]string{}
	for file, board := range dashboards(t) {
		if board.UID == "" || board.Title == "" || uids[board.UID] != "" {
			t.Errorf("%s: uid %q, title %q, as %q", file, board.UID, board.Title, uids[board.UID])
		}
		uids[board.UID] = file
		checkPanels(t, file, board.Panels)
	}
}

func checkPanels(t *testing.T, file string, panels []panel) {
	t.Helper()
	titles, covered := map[int]string{}, map[[2]int]string{}
	for _, panel := range panels {
		if other, taken := titles[panel.ID]; panel.ID < 1 || taken {
			t.Errorf("%s: panel %q has id %d, as %q", file, panel.Title, panel.ID, other)
		}
		titles[panel.ID] = panel.Title
		if panel.Title == "" || panel.Description == "" || len(panel.Targets) == 0 {
			t.Errorf("%s: panel %d, %q: want a title, a description and a query", file, panel.ID, panel.Title)
		}
		refs := map[string]bool{}
		for _, target := range panel.Targets {
			if target.RefID == "" || refs[target.RefID] {
				t.Errorf("%s: panel %q has two queries %q", file, panel.Title, target.RefID)
			}
			refs[target.RefID] = true
		}
		at := panel.GridPos
		if at.W < 1 || at.H < 1 || at.X+at.W > 24 {
			t.Errorf("%s: panel %q is %d wide at %d: a row has 24", file, panel.Title, at.W, at.X)
		}
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other, taken := covered[[2]int{x, y}]; taken {
					t.Fatalf("%s: panel %q lies on %q", file, panel.Title, other)
				}
				covered[[2]int{x, y}] = panel.Title
			}
		}
	}
}

func TestDashboardsAreShipped(t *testing.T) {
	var shipped struct {
		ConfigMaps []struct {
			Files   []string `json:"files"`
			Options struct {
				Labels map[string]string `json:"labels"`
			} `json:"options"`
		} `json:"configMapGenerator"`
	}
	if err := yaml.Unmarshal(read(t, "config/grafana/kustomization.yaml"), &shipped); err != nil {
		t.Fatal(err)
	}
	files := map[string]bool{}
	for _, configMap := range shipped.ConfigMaps {
		if configMap.Options.Labels["grafana_dashboard"] != "1" {
			t.Errorf("Grafana does not look at a ConfigMap with the labels %v", configMap.Options.Labels)
		}
		for _, file := range configMap.Files {
			files[file] = true
		}
	}
	for file := range dashboards(t) {
		if !files[file] {
			t.Errorf("%s is in no ConfigMap", file)
		}
	}
}
