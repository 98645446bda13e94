import { defineErrors } from '../base/errors.ts'

export const appErrors = defineErrors({
  app_not_found: { status: 404, summary: 'No app of that name is installed on the node.' },
  version_not_found: { status: 404, summary: 'The app is here, but not in that version.' },
  version_conflict: {
    status: 409,
    summary: 'That version of the app is installed with other content; one name and version has one digest.',
  },
  app_name_taken: { status: 409, summary: 'An app of that name is installed from another package.' },
  time_invalid: { status: 400, summary: 'A point in time is neither a duration ago nor an ISO 8601 time.' },
  app_busy: { status: 409, summary: 'A deploy or switch of the app is under way on the node.' },
  app_failed: {
    status: 500,
    summary: 'The app did not start, or not become healthy; the message says what it said last.',
  },
  nothing_to_roll_back: { status: 409, summary: 'There is no earlier good version of the app to go back to.' },
  platform_not_supported: {
    status: 501,
    summary: 'The package is not made for the operating system and processor of the node.',
  },
  keeper_failed: { status: 500, summary: 'The shell that keeps the app could not be started.' },
})
