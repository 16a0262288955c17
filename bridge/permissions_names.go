package bridge

import "github.com/cdpbridge/cdpbridge/permissions"

// Permission is the name of what a page asks for, as Electron calls it.
type Permission = permissions.Permission

// The permissions. Their comments are in package permissions.
const (
	PermissionAR                          = permissions.AR
	PermissionAutomaticFullscreen         = permissions.AutomaticFullscreen
	PermissionBackgroundFetch             = permissions.BackgroundFetch
	PermissionBackgroundSync              = permissions.BackgroundSync
	PermissionCapturedSurfaceControl      = permissions.CapturedSurfaceControl
	PermissionClipboardRead               = permissions.ClipboardRead
	PermissionClipboardSanitizedWrite     = permissions.ClipboardSanitizedWrite
	PermissionDeprecatedSyncClipboardRead = permissions.DeprecatedSyncClipboardRead
	PermissionDisplayCapture              = permissions.DisplayCapture
	PermissionFileSystem                  = permissions.FileSystem
	PermissionFullscreen                  = permissions.Fullscreen
	PermissionGeolocation                 = permissions.Geolocation
	PermissionGeolocationApproximate      = permissions.GeolocationApproximate
	PermissionHandTracking                = permissions.HandTracking
	PermissionHID                         = permissions.HID
	PermissionIdleDetection               = permissions.IdleDetection
	PermissionKeyboardLock                = permissions.KeyboardLock
	PermissionLocalFonts                  = permissions.LocalFonts
	PermissionLocalNetwork                = permissions.LocalNetwork
	PermissionLocalNetworkAccess          = permissions.LocalNetworkAccess
	PermissionLoopbackNetwork             = permissions.LoopbackNetwork
	PermissionMedia                       = permissions.Media
	PermissionMediaKeySystem              = permissions.MediaKeySystem
	PermissionMIDI                        = permissions.MIDI
	PermissionMIDISysex                   = permissions.MIDISysex
	PermissionNFC                         = permissions.NFC
	PermissionNotifications               = permissions.Notifications
	PermissionOpenExternal                = permissions.OpenExternal
	PermissionPaymentHandler              = permissions.PaymentHandler
	PermissionPeriodicBackgroundSync      = permissions.PeriodicBackgroundSync
	PermissionPersistentStorage           = permissions.PersistentStorage
	PermissionPointerLock                 = permissions.PointerLock
	PermissionScreenWakeLock              = permissions.ScreenWakeLock
	PermissionSensors                     = permissions.Sensors
	PermissionSerial                      = permissions.Serial
	PermissionSmartCard                   = permissions.SmartCard
	PermissionSpeakerSelection            = permissions.SpeakerSelection
	PermissionStorageAccess               = permissions.StorageAccess
	PermissionSystemWakeLock              = permissions.SystemWakeLock
	PermissionTopLevelStorageAccess       = permissions.TopLevelStorageAccess
	PermissionUSB                         = permissions.USB
	PermissionVR                          = permissions.VR
	PermissionWebAppInstallation          = permissions.WebAppInstallation
	PermissionWebPrinting                 = permissions.WebPrinting
	PermissionWindowManagement            = permissions.WindowManagement
	PermissionUnknown                     = permissions.Unknown
)
