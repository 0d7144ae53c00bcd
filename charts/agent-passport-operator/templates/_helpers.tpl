{{- /* Names are those of config/, whatever the release is called: commands, policies and documents name them. So there
       is one release a cluster. */}}

{{- define "agent-passport.labels" -}}
app.kubernetes.io/name: agent-passport-operator
app.kubernetes.io/part-of: agent-passport
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "agent-passport.image" -}}
{{- with .Values.image.registry }}{{ . }}/{{ end }}
{{- .Values.image.repository }}
{{- with .Values.image.digest }}@{{ . }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- /* Kubernetes 1.36 and later has MutatingAdmissionPolicy v1, which stamps who did what. */}}
{{- define "agent-passport.stamps" -}}
{{- if semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version }}true{{ end }}
{{- end }}

{{- define "agent-passport.issuer" -}}
{{- .Values.issuer | default (printf "http://agent-passport-issuer.%s.svc" .Release.Namespace) }}
{{- end }}

{{- /* The config file: that of config/, with the values over it. */}}
{{- define "agent-passport.config" -}}
{{- $file := .Files.Get "files/config.yaml" }}
{{- if .Values.config }}{{ mergeOverwrite (fromYaml $file) .Values.config | toYaml }}{{ else }}{{ $file | trimSuffix "\n" }}{{ end }}
{{- end }}

{{- /* How Pods of a component are scheduled: (dict "root" $ "values" .Values.gateway "component" "gateway"). */}}
{{- define "agent-passport.scheduling" -}}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Over nodes, where that is possible, or as the values say. */}}
{{- define "agent-passport.spread" -}}
topologySpreadConstraints:
  {{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        app.kubernetes.io/name: agent-passport-operator
        app.kubernetes.io/component: {{ .component }}
    {{- if eq .component "manager" }}
    matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
{{- end }}

{{- define "agent-passport.podMetadata" -}}
labels:
  app.kubernetes.io/name: agent-passport-operator
  app.kubernetes.io/component: {{ .component }}
  {{- with .values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  kubectl.kubernetes.io/default-container: {{ .component }}
  {{- with .values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- /* The restricted profile of Pod security. */}}
{{- define "agent-passport.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
