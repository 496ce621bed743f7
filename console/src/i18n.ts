/** Every text of the console in both languages; a test holds them together. */
export const messages = {
  en: {
    title: "Nexus-Gateway", signIn: "Sign in", credential: "API key or token", signInHint: "The first start wrote an admin key to admin.key in the data directory. It stays in this tab only.",
    wrongCredential: "This key or token is not accepted.", signOut: "Sign out", sources: "Data sources", noSources: "No data source may be seen here.", filter: "Filter",
    queries: "Editor", live: "Live queries", history: "History", run: "Run", cancel: "Cancel", explain: "Explain", running: "Running", rows: "rows", row: "row",
    ms: "ms", more: "more rows exist", limit: "Limit", noLimit: "no limit", parameters: "Parameters (JSON array)", result: "Result", chart: "Chart", noChart: "No column holds numbers.", bars: "bars", line: "line", by: "by", first: "the first",
    copy: "Copy", copyAll: "Copy all", copied: "Copied.", notCopied: "The browser did not let it be copied.", csv: "CSV", json: "JSON", close: "Close", value: "Value", kill: "Cancel query", none: "Nothing here.",
    reopen: "Open", test: "Test", activate: "Activate", deactivate: "Deactivate", theme: "Theme", language: "中文", docs: "API", tables: "Tables", loading: "Loading", canceled: "Canceled.",
    broken: "The gateway cannot be reached.", refused: "Refused", failed: "Failed", byte: "at byte", state: "State", started: "Started", who: "Who", statement: "Statement", source: "Source",
    took: "Took", outcome: "Outcome", health_healthy: "healthy", health_degraded: "degraded", health_unhealthy: "unhealthy", health_unknown: "not yet known", notBuilt: "driver not built in",
    hint: "Ctrl+Enter runs, Esc cancels", welcome: "Choose a data source and write a SELECT.", badParameters: "Parameters must be a JSON array.",
    signedIn: "Signed in as", expired: "The session has ended. Sign in again.", connections: "connections", answers: "Answers in", actions: "Actions",
    status_draft: "draft", status_active: "active", status_inactive: "inactive", status_error: "in error",
    explainOff: "Plans are off here: allowMetadataStatements of the data source allows them.",
    outcome_success: "done", outcome_error: "failed", outcome_timeout: "timed out", outcome_canceled: "canceled", outcome_rejected: "refused",
    state_received: "received", state_queued: "queued", state_connecting: "connecting", state_executing: "executing", state_streaming: "streaming",
  },
  zh: {
    title: "Nexus-Gateway", signIn: "登录", credential: "API 密钥或令牌", signInHint: "首次启动时，管理员密钥写入数据目录中的 admin.key。密钥只保存在当前标签页。",
    wrongCredential: "该密钥或令牌未被接受。", signOut: "退出", sources: "数据源", noSources: "此处没有可见的数据源。", filter: "筛选",
    queries: "编辑器", live: "运行中的查询", history: "历史", run: "运行", cancel: "取消", explain: "执行计划", running: "运行中", rows: "行", row: "行",
    ms: "毫秒", more: "还有更多行", limit: "行数上限", noLimit: "不限", parameters: "参数（JSON 数组）", result: "结果", chart: "图表", noChart: "没有数值列。", bars: "柱状图", line: "折线图", by: "按", first: "仅前",
    copy: "复制", copyAll: "全部复制", copied: "已复制。", notCopied: "浏览器不允许复制。", csv: "CSV", json: "JSON", close: "关闭", value: "值", kill: "取消查询", none: "暂无内容。",
    reopen: "打开", test: "测试", activate: "启用", deactivate: "停用", theme: "主题", language: "English", docs: "API", tables: "表", loading: "加载中", canceled: "已取消。",
    broken: "无法连接网关。", refused: "已拒绝", failed: "失败", byte: "位于字节", state: "状态", started: "开始时间", who: "用户", statement: "语句", source: "数据源",
    took: "耗时", outcome: "结果", health_healthy: "正常", health_degraded: "降级", health_unhealthy: "异常", health_unknown: "未知", notBuilt: "驱动未内置",
    hint: "Ctrl+Enter 运行，Esc 取消", welcome: "选择一个数据源并编写 SELECT 语句。", badParameters: "参数必须是 JSON 数组。",
    signedIn: "当前用户", expired: "会话已结束，请重新登录。", connections: "个连接", answers: "响应时间", actions: "操作",
    status_draft: "草稿", status_active: "启用", status_inactive: "停用", status_error: "错误",
    explainOff: "此数据源未开放执行计划：可通过数据源选项 allowMetadataStatements 开启。",
    outcome_success: "完成", outcome_error: "失败", outcome_timeout: "超时", outcome_canceled: "已取消", outcome_rejected: "已拒绝",
    state_received: "已接收", state_queued: "排队中", state_connecting: "连接中", state_executing: "执行中", state_streaming: "传输中",
  },
} as const;

export type Language = keyof typeof messages;
export type Key = keyof (typeof messages)["en"];

function initial(): Language {
  const kept = localStorage.getItem("nexus-language");
  if (kept === "en" || kept === "zh") return kept;
  return navigator.language.startsWith("zh") ? "zh" : "en";
}

let language: Language | undefined;

export const lang = {
  get: (): Language => (language ??= initial()),
  set: (l: Language) => {
    language = l;
    localStorage.setItem("nexus-language", l);
    document.documentElement.lang = l;
  },
};

export const t = (key: Key): string => messages[lang.get()][key];
/** A word of the gateway; one that is not known here stays as it is. */
export const word = (kind: "outcome" | "state", w: string): string => messages[lang.get()][`${kind}_${w}` as Key] ?? w;
