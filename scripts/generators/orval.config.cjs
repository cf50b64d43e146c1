// What orval generates: functions over `fetch`, for the API at API.
module.exports = {
  farebox: { input: { target: "openapi.json" }, output: { target: "typescript/orval.ts", client: "fetch", baseUrl: process.env.API } },
};
