{{/* The name of the chart. */}}
{{- define "dummy-server.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of what is installed; short enough for the suffixes of the Job and the test. */}}
{{- define "dummy-server.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 48 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "dummy-server.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 48 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What selects this release's objects; never changes during its life. */}}
{{- define "dummy-server.selector" -}}
app.kubernetes.io/name: {{ include "dummy-server.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "dummy-server.labels" -}}
{{ include "dummy-server.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* An image of the chart: its own tag, or the version of the application. */}}
{{- define "dummy-server.image" -}}
{{- $image := index . 0 -}}
{{- $root := index . 1 -}}
{{ printf "%s:%s" $image.repository (default $root.Chart.AppVersion $image.tag) | quote }}
{{- end -}}

{{/* A number as people write it: values arrive as floats, and large ones would print as 1e+06. */}}
{{- define "dummy-server.number" -}}
{{- if eq (float64 (int64 .)) (float64 .) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end -}}
