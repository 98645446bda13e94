import { appSection } from '../app/config.ts'
import { loggingSection, storageSection } from '../config/index.ts'
import { securitySection } from '../identity/config.ts'
import { trustSection } from '../member/config.ts'
import { netSection } from '../net/config.ts'
import { relaySection } from '../relay/config.ts'
import { deploySection } from '../rollout/config.ts'
import { serviceSection } from '../service/config.ts'
import { transferSection } from '../transfer/config.ts'

/** Every section of the config, in the order of the file. */
export const sections = [
  netSection,
  relaySection,
  securitySection,
  trustSection,
  deploySection,
  transferSection,
  appSection,
  serviceSection,
  storageSection,
  loggingSection,
] as const
